"""Whether a vision tower is still the base's own, byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.headers import Reading
from preflight.model.reference import Reference
from preflight.model.tensor_bytes import (
    CannotCompare,
    Opener,
    OpenTensors,
    Place,
    all_of,
    comparable,
    files_of,
    places,
)


@dataclass(frozen=True, slots=True)
class VisionTowerComparison:
    """How many tensors of the tower were compared, and those that differ.

    `unlike` could not be compared: another shape, or a dtype that is not the base's
    nor its exact widening.
    """

    compared: int
    different: tuple[str, ...]
    unlike: tuple[str, ...]


def is_visual(name: str) -> bool:
    """Whether a path component of a tensor's name is `visual`."""
    return "visual" in name.split(".")


def compare_vision_tower(
    opener: Opener,
    containers: tuple[Reading, ...] | Unavailable,
    reference: Reference | Unavailable,
    on_bytes: Callable[[int], None] | None = None,
) -> VisionTowerComparison | Unavailable:
    """Compare the tensors of the vision tower that both sides have.

    Reads them on both sides in chunks and stops within a tensor at its first
    difference. `on_bytes` is told how many bytes of the model's files are done with.
    """
    if isinstance(containers, Unavailable):
        return containers
    if isinstance(reference, Unavailable):
        return reference
    if isinstance(reference.containers, Unavailable):
        return reference.containers
    mine = _visual(opener, containers)
    wanted = _visual(files_of(reference.directory), reference.containers)
    if not wanted:
        return Unavailable(say("the base has no vision tower"))
    try:
        return _compare(mine, wanted, on_bytes or (lambda _: None))
    except CannotCompare as stop:
        return Unavailable(str(stop))


def _visual(opener: Opener, containers: Iterable[Reading]) -> dict[str, Place]:
    found = places(opener, containers)
    return {name: place for name, place in found.items() if is_visual(name)}


def _compare(
    mine: Mapping[str, Place],
    wanted: Mapping[str, Place],
    on_bytes: Callable[[int], None],
) -> VisionTowerComparison:
    different: list[str] = []
    unlike: list[str] = []
    shared = [name for name in mine if name in wanted]
    with ExitStack() as stack:
        tensors = OpenTensors(stack)
        for name in shared:
            here, there = mine[name], wanted[name]
            if not comparable(here.tensor, there.tensor):
                unlike.append(name)
            elif not tensors.same(here, there, all_of(there.tensor)):
                different.append(name)
            on_bytes(here.tensor.size)
    return VisionTowerComparison(len(shared), tuple(different), tuple(unlike))
