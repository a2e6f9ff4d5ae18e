"""What can only be repaired at a loss: each of these has to be asked for."""

from __future__ import annotations

import math
from collections.abc import Callable

from preflight.errors import PreflightError
from preflight.language import say
from preflight.model.lora import LoraView
from preflight.model.vocabulary_layers import vocabulary_layer
from preflight.repair._repair import Change, changed, repair
from preflight.repair.c_ranks import modules_of
from preflight.repair.draft import Draft
from preflight.repair.values import matrix, product_norm
from preflight.rules.c_variants import touches_vocabulary
from preflight.rules.k_keys import is_visual


def _without(draft: Draft, names: set[str], what: str) -> Change | None:
    """The draft without these tensors, and how much of the file they were."""
    gone = [one for one in draft.tensors if one.name in names]
    if not gone or len(gone) == len(draft.tensors):
        return None
    kept = tuple(one for one in draft.tensors if one.name not in names)
    total = sum(one.size for one in draft.tensors)
    share = 100 * sum(one.size for one in gone) / total if total else 0.0
    told = say(
        "{count:,} tensors of {what} left out, {share:.2g} % of the bytes",
        count=len(gone),
        what=what,
        share=share,
    )
    norm = _share_of_norm(draft, names)
    measured = say(
        "their updates have {share} of the norm of all updates", share=f"{norm:.3g}"
    )
    return changed(draft.with_tensors(kept), told, *([measured] if norm else []))


def _share_of_norm(draft: Draft, names: set[str]) -> float:
    """How large the updates (scale · B·A) are that are left out, as a share of all.

    The norms are Frobenius norms over all modules together. Zero where no pair of
    halves is left out or where they cannot be read as numbers. Of a whole module it
    cannot be told: how far it is from the base's own only the base tells.
    """
    made = {one.name: one for one in draft.tensors}
    squares = {True: 0.0, False: 0.0}
    scales = modules_of(draft) or {}
    for name, pair in draft.lora.pairs.items():
        if name not in scales or set(pair) != {"A", "B"}:
            continue
        try:
            first, second = (matrix(made[pair[half].tensor.name]) for half in "AB")
        except PreflightError:
            return 0.0
        if first.ndim != 2 or second.ndim != 2:
            return 0.0
        size = scales[name].scale.number * product_norm(first, second)
        squares[pair["A"].tensor.name in names] += size**2
    both = squares[True] + squares[False]
    return math.sqrt(squares[True] / both) if 0 < both < math.inf else 0.0


def _without_targets(
    change: Change | None, is_gone: Callable[[str], bool]
) -> Change | None:
    """The change, with the modules that are gone taken out of the config's targets."""
    if change is None:
        return None
    config = change.draft.config or {}
    targets = config.get("target_modules")
    if not isinstance(targets, list):
        return change
    kept = [name for name in targets if not is_gone(str(name))]
    if not kept or kept == targets:
        return change
    return changed(change.draft.with_config(target_modules=kept), *change.told)


def _of_vocabulary(lora: LoraView) -> set[str]:
    halves = {h.tensor.name for h in lora.halves if touches_vocabulary(h)}
    others = {
        tensor.name
        for tensor in lora.others
        if vocabulary_layer(
            tensor.name.removesuffix(".weight").removesuffix(".base_layer")
        )
        or "trainable_tokens" in tensor.name
    }
    return halves | others


@repair(
    "C07 C08 C15 V01",
    say("Leaves out what was trained of the embedding and of the output layer."),
    flag="--drop-head",
)
def dropped_head(draft: Draft) -> Change | None:
    """Neither LoRA nor whole matrix of the vocabulary's layers stays."""
    what = say("the embedding and the output layer")
    change = _without(draft, _of_vocabulary(draft.lora), what)
    return _without_targets(change, lambda name: bool(vocabulary_layer(name)))


@repair("C06", say("Leaves out trained biases."), flag="--drop-bias")
def dropped_bias(draft: Draft) -> Change | None:
    """The base's own biases, or none, are served."""
    lora = draft.lora
    names = {h.tensor.name for h in lora.halves if not h.is_weight}
    names |= {t.name for t in lora.others if t.name.endswith(".bias")}
    return _without(draft, names, say("biases"))


@repair(
    "C07",
    say(
        "Leaves out whole modules that were trained beside the LoRA (modules_to_save, "
        "norms, heads)."
    ),
    flag="--drop-saved-modules",
)
def dropped_modules(draft: Draft) -> Change | None:
    """The base's own modules are served."""
    lora = draft.lora
    names = {
        t.name
        for t in lora.others
        if not t.name.endswith(".bias") and "lora_magnitude" not in t.name
    }
    return _without(draft, names - _of_vocabulary(lora), say("whole modules"))


@repair(
    "K04 S06",
    say("Leaves out what was trained of the vision tower."),
    flag="--drop-vision",
)
def dropped_vision(draft: Draft) -> Change | None:
    """The base's own tower is served."""
    names = {one.name for one in draft.tensors if is_visual(one.name)}
    return _without(draft, names, say("the vision tower"))
