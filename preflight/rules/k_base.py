"""K, continued: full weights against the values of the base's own copy."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.findings import Problem, Severity
from preflight.language import say
from preflight.model.text_comparison import TextComparison
from preflight.rules._rule import FULL, rule


@rule(
    "K08",
    severity=Severity.WARNING,
    applies=FULL,
    fix=say(
        "Merge the trained adapter into the base and save the result; "
        "look whether the trainer wrote its checkpoint elsewhere."
    ),
)
def weights_are_not_the_base_s(text: TextComparison) -> Iterator[Problem]:
    """Weights that equal the base's, value by value, were neither trained nor merged.

    Samples of every text tensor are compared with a copy of the base. Such a model
    imports, and answers as the base does.
    Causes: a merge whose adapter fitted no layer, or that was saved before the merge;
    training with a learning rate that BF16 rounds away; the wrong directory.
    Source: PEFT only warns of adapter keys that fit nowhere,
    https://github.com/huggingface/peft/issues/1402
    """
    if text.compared and not text.different:
        told = say(
            "identical to the base: all {count:,} text tensors that were compared",
            count=text.compared,
        )
        yield Problem("model.safetensors", told)
