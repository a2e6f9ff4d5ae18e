"""S, continued: what the weights themselves hold; these rules need the value scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from preflight.findings import Problem, Severity
from preflight.language import say
from preflight.model.scan import TensorValues
from preflight.rules._rule import FULL, LORA, rule

Values = tuple[TensorValues, ...]

ABSURD = 1e4  # no trained weight of these models comes near it


def _nonfinite(values: Values) -> Iterator[Problem]:
    found = [v for v in values if v.nonfinite]
    if found:
        numbers = sum(v.nonfinite for v in found)
        first = found[0]
        yield Problem(
            f"{first.file}: {first.name}",
            say(
                "holds {nonfinite:,} NaN or Inf of {count:,} values; in all "
                "{numbers:,} values in {total:,} of {count_3:,} tensors",
                nonfinite=first.nonfinite,
                count=first.count,
                numbers=numbers,
                total=len(found),
                count_3=len(values),
            ),
        )


@rule(
    "S10",
    applies=LORA,
    fix=say("Take an earlier checkpoint; train in bf16 or with a lower learning rate."),
)
def adapter_values_finite(values: Values) -> Iterator[Problem]:
    """One NaN or Inf spreads through every answer; no loader complains of it.

    Causes: the loss diverged, fp16 overflowed, a merge divided by zero.
    Source: https://github.com/predibase/lorax/issues/81
    """
    yield from _nonfinite(values)


@rule(
    "S11", applies=FULL, fix=say("Take an earlier checkpoint, or merge again in fp32.")
)
def full_values_finite(values: Values) -> Iterator[Problem]:
    """One NaN or Inf in the weights spreads through every answer.

    Causes: the loss diverged, fp16 overflowed, a merge divided by zero, a damaged
    shard.
    Source: https://github.com/haotian-liu/LLaVA/issues/1278
    """
    yield from _nonfinite(values)


def _first(values: Sequence[TensorValues]) -> str:
    return values[0].name


@rule(
    "S12",
    applies=LORA,
    fix=say(
        "Check that the LoRA parameters were in the optimizer and that "
        "the weights were gathered before saving."
    ),
)
def adapter_is_trained(values: Values) -> Iterator[Problem]:
    """lora_B starts at zero; if all of them still are, nothing was trained.

    The adapter loads and the base model answers. A few zero ones may be layers that
    got no gradient.
    Causes: the optimizer did not see the parameters, the wrong weights were saved,
    DeepSpeed partitions, zero steps of training.
    Source: https://github.com/huggingface/peft/issues/1402
    """
    for half in ("B", "A"):
        found = [v for v in values if v.count and _is_half(v.name, half)]
        zero = [v for v in found if v.zero]
        if zero and len(zero) == len(found):
            told = say(
                "all {count:,} lora_{half} tensors are zero: the adapter does nothing",
                count=len(zero),
                half=half,
            )
            yield Problem(_first(zero), told)
        elif zero:
            told = say(
                "{count:,} of {total:,} lora_{half} tensors are zero: their layers do "
                "nothing",
                count=len(zero),
                total=len(found),
                half=half,
            )
            yield Problem(_first(zero), told, Severity.WARNING)


def _is_half(name: str, half: str) -> bool:
    return f".lora_{half}." in name and not name.endswith(".bias")


@rule(
    "S13",
    severity=Severity.WARNING,
    applies=LORA,
    fix=say("Look at the tensor; take an earlier checkpoint if the training diverged."),
)
def adapter_values_plausible(values: Values) -> Iterator[Problem]:
    """Constant tensors and enormous numbers are not what training leaves behind.

    Causes: a diverged run, a placeholder that was never filled, a unit mistake in a
    hand-written merge.
    Source: the largest weights of published adapters lie far below 10,000.
    """
    yield from _implausible(values)


@rule(
    "S14",
    severity=Severity.WARNING,
    applies=FULL,
    fix=say("Save the shard again; compare its checksum with the training machine's."),
)
def full_values_plausible(values: Values) -> Iterator[Problem]:
    """A weight matrix that is all zero, or of one value, was never filled.

    Causes: a preallocated shard whose save failed, a merge into an empty model.
    Source: the published base models have no such matrix.
    """
    zero = [v for v in values if v.zero and _is_matrix(v)]
    if zero:
        first = f"{zero[0].file}: {_first(zero)}"
        yield Problem(
            first,
            say(
                "is all zero; so {count:,} of {total:,}",
                count=len(zero),
                total=len(values),
            ),
        )
    yield from _implausible([v for v in values if _is_matrix(v)])


def _is_matrix(values: TensorValues) -> bool:
    """Judged by the name: norms and biases may well be constant."""
    name = values.name
    norm = "norm" in name or any(part.startswith("ln_") for part in name.split("."))
    return name.endswith(".weight") and not norm


def _implausible(values: Sequence[TensorValues]) -> Iterator[Problem]:
    # Integers are packed values or indices: neither size nor repetition tells a thing.
    values = [v for v in values if v.floating]
    constant = [v for v in values if v.constant and not v.zero]
    if constant:
        told = say(
            "holds one value throughout; so {count:,} tensors", count=len(constant)
        )
        yield Problem(_first(constant), told)
    huge = [v for v in values if v.largest > ABSURD]
    if huge:
        largest = max(v.largest for v in huge)
        told = say(
            "magnitudes up to {largest:.3g} in {count:,} tensors; plausible are at "
            "most {most:,.0f}",
            largest=largest,
            count=len(huge),
            most=ABSURD,
        )
        yield Problem(_first(huge), told)
