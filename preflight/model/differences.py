"""What differs between two checkpoints of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.comparison import compared_weights
from preflight.model.inspection import Inspection, opener
from preflight.model.tensor_bytes import CannotCompare, Place, files_of, places
from preflight.model.updates import UpdatePair, compared

_ALIKE = 1e-7  # a share that rounding makes


class NotComparable(Exception):
    """These are no two checkpoints that could be compared; the text says why."""


class Measure(str, Enum):
    """What the norms are of."""

    UPDATE = "update"  # B·A of an adapter
    CHANGE = "change"  # of full weights against the base, as a share of its norm
    WEIGHTS = "weights"  # full weights themselves; no base is at hand


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs; `config` is field to both values as JSON shows them."""

    measure: Measure
    config: Mapping[str, tuple[object, object]]
    pairs: tuple[UpdatePair, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs but for rounding."""
        alike = all(
            each.first == each.second and (each.change or 0.0) < _ALIKE
            for each in self.pairs
        )
        return alike and not (self.config or self.only_first or self.only_second)


def difference(one: Inspection, other: Inspection) -> Difference:
    """What differs between two adapters, or two models of full weights.

    Of full weights all bytes are read, those of a base at hand, too. Raises
    `NotComparable`, `Changed` and `Unreadable`.
    """
    names = [_names(each) for each in (one, other)]
    measure, pairs = _pairs(one, other)
    return Difference(
        measure,
        _configs(_config(one), _config(other)),
        pairs,
        tuple(sorted(names[0] - names[1])),
        tuple(sorted(names[1] - names[0])),
    )


def _names(found: Inspection) -> set[str]:
    if isinstance(found.tensors, Unavailable):
        raise NotComparable(
            say(
                "{directory}: {reason}",
                directory=found.location.shown,
                reason=found.tensors.reason,
            )
        )
    return {tensor.name for tensor in found.tensors}


def _pairs(
    one: Inspection, other: Inspection
) -> tuple[Measure, tuple[UpdatePair, ...]]:
    if one.weight_type is not other.weight_type:
        raise NotComparable(say("an adapter and full weights have nothing to compare"))
    if one.weight_type is WeightType.LORA:
        for found in (one, other):
            if isinstance(found.lora, Unavailable) or not found.lora.pairs:
                raise NotComparable(
                    say(
                        "{directory} holds no LoRA to compare",
                        directory=found.location.shown,
                    )
                )
        return Measure.UPDATE, tuple(compared(one, other))
    base = _base(one)
    try:
        pairs = compared_weights(_places(one), _places(other), base)
        measure = Measure.WEIGHTS if base is None else Measure.CHANGE
        return measure, tuple(pairs)
    except CannotCompare as cause:
        raise NotComparable(str(cause)) from cause


def _places(found: Inspection) -> dict[str, Place]:
    assert not isinstance(found.containers, Unavailable)  # noqa: S101 - `_names` asked
    return places(opener(found.source, found.files), found.containers)


def _base(found: Inspection) -> dict[str, Place] | None:
    """The tensors of the base, where all of its weights are at hand."""
    reference = found.reference
    if isinstance(reference, Unavailable):
        return None
    if isinstance(reference.containers, Unavailable):
        return None
    return places(files_of(reference.directory), reference.containers)


def _config(found: Inspection) -> object:
    lora = found.weight_type is WeightType.LORA
    return found.adapter_config if lora else found.config


def _configs(one: object, other: object) -> dict[str, tuple[object, object]]:
    first, second = (each if isinstance(each, Mapping) else {} for each in (one, other))
    fields = sorted({*first, *second})
    pairs = {field: (first.get(field), second.get(field)) for field in fields}
    return {field: pair for field, pair in pairs.items() if pair[0] != pair[1]}
