"""Two models of full weights side by side, tensor by tensor, a little at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from preflight.model.floats import numbers, width_of
from preflight.model.tensor_bytes import OpenTensors, Place
from preflight.model.update_map import place_of_tensor
from preflight.model.updates import UpdatePair

_AT_ONCE = 1 << 18  # numbers that are compared at a time


@dataclass(slots=True)
class _Sums:
    """Of what was trained in both: squares and product; the base's own square."""

    first: float = 0.0
    second: float = 0.0
    both: float | None = 0.0
    base: float = 0.0


class _Sides:
    """The tensors of two models and, where it is at hand, of their base."""

    def __init__(
        self,
        one: Mapping[str, Place],
        other: Mapping[str, Place],
        base: Mapping[str, Place] | None,
        files: OpenTensors,
    ) -> None:
        self._sides = [side for side in (one, other, base) if side is not None]
        self._files = files

    def add(self, name: str, sums: _Sums) -> None:
        """Compare one tensor that the first two have. Raises `CannotCompare`."""
        import numpy as np

        places = [side[name] for side in self._sides if name in side]
        alike = len({place.tensor.shape for place in places}) == 1
        readable = all(width_of(place.tensor.dtype) for place in places)
        if len(places) < len(self._sides) or not alike or not readable:
            sums.both = None
            return
        with np.errstate(all="ignore"):
            for at in range(0, places[0].tensor.count, _AT_ONCE):
                self._add(places, at, sums)

    def _add(self, places: list[Place], at: int, sums: _Sums) -> None:
        parts = []
        for place in places:
            width = width_of(place.tensor.dtype)
            count = min(_AT_ONCE, place.tensor.count - at)
            raw = self._files.read(place, at * width, count * width)
            parts.append(numbers(raw, place.tensor.dtype))
        first, second = parts[:2]
        if parts[2:]:
            first, second = first - parts[2], second - parts[2]
            sums.base += float(parts[2] @ parts[2])
        sums.first += float(first @ first)
        sums.second += float(second @ second)
        if sums.both is not None:
            sums.both += float(first @ second)


def compared_weights(
    one: Mapping[str, Place],
    other: Mapping[str, Place],
    base: Mapping[str, Place] | None,
) -> Iterator[UpdatePair]:
    """Every module that both models have; experts and a vision tower are one each.

    With the base the norms are the changes against it, as shares of its own norm, and
    the cosine is that of the two changes; without one they are those of the weights.
    Raises `CannotCompare`.
    """
    modules: dict[tuple[int | None, str], list[str]] = {}
    for name in one:
        if name in other:
            modules.setdefault(place_of_tensor(name), []).append(name)
    with ExitStack() as stack:
        sides = _Sides(one, other, base, OpenTensors(stack))
        for (layer, kind), tensors in modules.items():
            sums = _Sums()
            for name in tensors:
                sides.add(name, sums)
            module = kind if layer is None else f"layers.{layer}.{kind}"
            share = sums.base if base is not None else None
            yield UpdatePair(
                module, layer, kind, sums.first, sums.second, sums.both, share
            )
