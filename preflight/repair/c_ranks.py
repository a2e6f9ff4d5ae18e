"""C, continued: ranks and scales that the service serves, with the update unchanged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from preflight.catalog.service import LORA_RANKS
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.model.patterns import pattern_value
from preflight.repair._repair import CannotRepair, Change, changed, repair
from preflight.repair.draft import Draft
from preflight.repair.scale import Folded, Module, folded, scale
from preflight.repair.tensors import ONCE, Made, Reduced
from preflight.rules.c_config import declared_rank
from preflight.text import shortened

_LARGEST = max(LORA_RANKS)
_SWITCHED_OFF: Mapping[str, object] = {
    "use_rslora": False,
    "rank_pattern": {},
    "alpha_pattern": {},
}


def modules_of(draft: Draft) -> dict[str, Module] | None:
    """Rank and scale of every module; None where config or file is not sound enough."""
    config, lora = draft.config, draft.lora
    if config is None or declared_rank(config) is None or not lora.pairs:
        return None
    found = {}
    for name, pair in lora.pairs.items():
        ranks = {half.rank for half in pair.values()}
        rank = ranks.pop() if len(ranks) == 1 else None
        alpha = _number(pattern_value(config.get("alpha_pattern"), name))
        alpha = alpha or _number(config.get("lora_alpha"))
        if set(pair) != {"A", "B"} or not rank or not alpha:
            return None
        root = bool(config.get("use_rslora"))
        dtype = pair["B"].tensor.dtype
        found[name] = Module(rank, scale(alpha, rank, root=root), dtype)
    return found


def _number(value: object) -> float | None:
    plain = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not plain or not isinstance(value, (int, float)):
        return None
    return value if 0 < value < math.inf else None


def _declared(config: JsonObject, module: str) -> object:
    given = pattern_value(config.get("rank_pattern"), module)
    return config.get("r") if given is None else given


def _is_plain(config: JsonObject, modules: Mapping[str, Module]) -> bool:
    """Whether there is one allowed rank and one scale already, simply written."""
    rank, alpha = config.get("r"), config.get("lora_alpha")
    return (
        rank in LORA_RANKS
        and all(module.rank == rank for module in modules.values())
        and not config.get("use_rslora")
        and all(value == rank for value in _values(config.get("rank_pattern")))
        and all(value == alpha for value in _values(config.get("alpha_pattern")))
    )


def _values(pattern: object) -> list[object]:
    return list(pattern.values()) if isinstance(pattern, Mapping) else []


def _differing(config: JsonObject, modules: Mapping[str, Module]) -> str:
    """A module whose rank neither r nor rank_pattern gives."""
    wrong = (n for n, m in modules.items() if _declared(config, n) != m.rank)
    return next(wrong, "")


@repair(
    "C02 C03 C04 C10",
    say(
        "Brings all modules to one allowed rank and one scale with the same update: "
        "ranks are filled up with zeros, lora_alpha takes the scale, and what rsLoRA, "
        "rank_pattern and alpha_pattern scale otherwise goes into lora_B by powers of "
        "two."
    ),
)
def one_rank_and_scale(draft: Draft) -> Change | None:
    """Fold whatever differs into the matrices, where that is exact."""
    config, modules = draft.config or {}, modules_of(draft)
    if not modules or _is_plain(config, modules):
        return None
    if max(module.rank for module in modules.values()) > _LARGEST:
        raise CannotRepair(
            say("a rank above {largest} cannot be had without loss", largest=_LARGEST)
        )
    if name := _differing(config, modules):
        raise CannotRepair(
            say(
                "nothing tells the scale of {name}, whose rank is neither r nor in "
                "rank_pattern",
                name=shortened(name, 80),
            )
        )
    way = folded(modules, LORA_RANKS)
    if way is None or not (way.exact or draft.known.losses.round):
        raise CannotRepair(
            say("one scale for all layers would have to be rounded (--round does it)")
        )
    return changed(_applied(draft, way), *_told(config, modules, way))


def _told(
    config: JsonObject, modules: Mapping[str, Module], way: Folded
) -> tuple[str, ...]:
    ranks = sorted({module.rank for module in modules.values()})
    told = []
    if ranks != [way.rank]:
        listed = ", ".join(map(str, ranks))
        told.append(
            say(
                "rank {listed} filled up with zeros to {rank}",
                listed=listed,
                rank=way.rank,
            )
        )
    if config.get("use_rslora"):
        told.append(say("use_rslora folded"))
    touched = sum(terms != ONCE for terms in way.terms.values())
    if touched:
        told.append(
            say(
                "another scale folded into {touched:,} of {count:,} lora_B",
                touched=touched,
                count=len(modules),
            )
        )
    if way.widened:
        told.append(say("all tensors in F32"))
    both = say(
        "r {rank} becomes {new_rank}, lora_alpha {alpha} becomes {new_alpha}",
        rank=config.get("r"),
        new_rank=way.rank,
        alpha=config.get("lora_alpha"),
        new_alpha=_plain(way.alpha),
    )
    return (*told, both)


def _plain(alpha: float) -> float:
    """A whole number as one: PEFT's field is annotated as such."""
    return int(alpha) if float(alpha).is_integer() else alpha


def _applied(draft: Draft, way: Folded) -> Draft:
    fields: dict[str, object] = {"r": way.rank, "lora_alpha": _plain(way.alpha)}
    config = draft.config or {}
    fields |= {field: off for field, off in _SWITCHED_OFF.items() if config.get(field)}
    halves = {half.tensor.name: half for half in draft.lora.halves}
    new = []
    for one in draft.tensors:
        half = halves.get(one.name)
        if half is not None and half.is_weight:
            new.append(_folded(one, half.half, way.terms[half.module], way))
        else:
            new.append(one)
    return draft.with_tensors(tuple(new)).with_config(**fields)


def _folded(one: Made, half: str, terms: tuple[Fraction, ...], way: Folded) -> Made:
    if half == "A":
        shape, axis = (way.rank, one.shape[1]), 0
        terms = ONCE * len(terms)
    else:
        shape, axis = (one.shape[0], way.rank), 1
    dtype = "F32" if way.widened else one.dtype
    made = replace(one, shape=shape, axis=axis, terms=terms, dtype=dtype)
    return replace(made, rounded=not way.exact)


@repair(
    "C02 C03",
    say(
        "Replaces an update of a rank above 64 by the nearest one of rank 64 (SVD); "
        "the part of its norm that is lost is measured."
    ),
    flag="--reduce-rank",
)
def reduced_rank(draft: Draft) -> Change | None:
    """Cut every module to the largest rank; smaller ones stay as they are."""
    modules = modules_of(draft)
    if not modules or max(m.rank for m in modules.values()) <= _LARGEST:
        return None
    config = draft.config or {}
    if _differing(config, modules) or config.get("rank_pattern"):
        raise CannotRepair(say("with ranks that differ the rank is not reduced"))
    rank = next(iter(modules.values())).rank
    by_name = {one.name: one for one in draft.tensors}
    cut = {}
    for pair in draft.lora.pairs.values():
        a, b = (by_name[pair[half].tensor.name] for half in ("A", "B"))
        for half, one in (("A", a), ("B", b)):
            shape = (
                (_LARGEST, one.shape[1]) if half == "A" else (one.shape[0], _LARGEST)
            )
            made = replace(one, shape=shape, reduced=Reduced(a, b, half, _LARGEST))
            cut[one.name] = replace(made, dtype="F32", rounded=True)
    new = tuple(cut.get(one.name, one) for one in draft.tensors)
    number = scale(
        float(config["lora_alpha"]), rank, root=bool(config.get("use_rslora"))
    )
    alpha = _plain(number.number * _LARGEST)
    made_draft = draft.with_tensors(new).with_config(
        r=_LARGEST, lora_alpha=alpha, use_rslora=False
    )
    return changed(
        made_draft,
        say(
            "rank {rank} reduced to {largest} by SVD, in F32",
            rank=rank,
            largest=_LARGEST,
        ),
    )
