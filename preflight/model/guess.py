"""Which bases a directory can be of, judged by figures and shapes alone.

No name is asked: where none tells, this finds what to compare with. It cannot tell
models of the same shapes apart, so nothing is ever imported on its word.
"""

from __future__ import annotations

from collections.abc import Iterable

from preflight.catalog.base_models import BaseModel, load_bases
from preflight.findings import Unavailable
from preflight.model.base_claim import BaseClaim
from preflight.model.config_figures import resembles
from preflight.model.configs import JsonObject
from preflight.model.headers import Tensor
from preflight.model.identity import Match
from preflight.model.lora import LoraTensor, LoraView

_ENOUGH = 0.5  # of the tensors of both sides together must be the same


def guess_bases(
    claim: BaseClaim,
    config: JsonObject | Unavailable,
    tensors: tuple[Tensor, ...] | Unavailable,
    lora: LoraView | Unavailable,
) -> tuple[BaseModel, ...]:
    """The bases that a directory without a telling name may be of.

    None where it names a model that is known to be another one.
    """
    if claim.identity is not None and claim.identity.match is Match.RELATIVE:
        return ()
    bases = tuple(b for b in load_bases().values() if not claim.contradicts([b]))
    if not isinstance(lora, Unavailable):
        bases = tuple(base for base in bases if _fits(lora, base))
        alike = [] if isinstance(config, Unavailable) else _resembling(config, bases)
        return tuple(alike) or bases
    if not isinstance(config, Unavailable):
        alike = _resembling(config, bases)
        if alike:
            return tuple(alike)
    return () if isinstance(tensors, Unavailable) else _most_alike(tensors, bases)


def _resembling(config: JsonObject, bases: tuple[BaseModel, ...]) -> list[BaseModel]:
    return [base for base in bases if resembles(config, base)]


def _fits(lora: LoraView, base: BaseModel) -> bool:
    """Whether there are layers with sound names, and all of them are the base's."""
    judged = False
    for half in lora.halves:
        visual = "visual" in half.module.split(".")
        if half.path is None or half.outer is None or visual:
            continue
        judged = True
        if not is_layer_of(half, base):
            return False
    return judged


def is_layer_of(half: LoraTensor, base: BaseModel) -> bool:
    """Whether the half belongs to a layer of `base` that exists in this size."""
    path = half.path
    linear = base.linears.get(path.kind) if path else None
    if path is None or linear is None or path.prefix not in base.lora_prefixes:
        return False
    counts = (base.layers, *linear.counters.values())
    exists = all(n < count for n, count in zip(path.numbers, counts, strict=True))
    return exists and half.outer == linear.shape[1 if half.half == "A" else 0]


def _most_alike(
    tensors: Iterable[Tensor], bases: tuple[BaseModel, ...]
) -> tuple[BaseModel, ...]:
    """The base that shares most names and shapes, if it is one and shares enough."""
    mine = {(t.name, t.shape) for t in tensors}
    scored = []
    for base in bases:
        wanted = {(spec.name, spec.shape) for spec in base.checkpoint_tensors()}
        scored.append((len(mine & wanted) / len(mine | wanted), base))
    best = max((score for score, _ in scored), default=0.0)
    if best < _ENOUGH:
        return ()
    return tuple(base for score, base in scored if score == best)
