"""Whether a vision tower is still the base's own, byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from preflight.findings import Unavailable
from preflight.model.headers import Container, Reading, Tensor
from preflight.model.reference import Reference
from preflight.model.steady import Changed, SteadyFile, Unreadable, open_regular

CHUNK = 1 << 20  # bytes of the base held at a time; twice that of an F32 copy


@dataclass(frozen=True, slots=True)
class VisionTowerComparison:
    """How many tensors of the tower were compared, and those that differ.

    `unlike` could not be compared: another shape, or a dtype that is not the base's
    nor its exact widening.
    """

    compared: int
    different: tuple[str, ...]
    unlike: tuple[str, ...]


class _Stop(Exception):
    """A file could not be read; the text says which and why."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A tensor and the file it lies in."""

    path: Path
    tensor: Tensor


def is_visual(name: str) -> bool:
    """Whether a path component of a tensor's name is `visual`."""
    return "visual" in name.split(".")


def compare_vision_tower(
    directory: Path,
    containers: tuple[Reading, ...] | Unavailable,
    reference: Reference | Unavailable,
    on_bytes: Callable[[int], None] | None = None,
) -> VisionTowerComparison | Unavailable:
    """Compare the tensors of the vision tower that both sides have.

    Reads them on both sides in chunks and stops within a tensor at its first
    difference. `on_bytes` is told how many bytes of `directory` are done with.
    """
    if isinstance(containers, Unavailable):
        return containers
    if isinstance(reference, Unavailable):
        return reference
    if isinstance(reference.containers, Unavailable):
        return reference.containers
    mine = _places(directory, containers)
    wanted = _places(reference.directory, reference.containers)
    if not wanted:
        return Unavailable("the base has no vision tower")
    try:
        return _compare(mine, wanted, on_bytes or (lambda _: None))
    except _Stop as stop:
        return Unavailable(str(stop))


def _places(directory: Path, containers: Iterable[Reading]) -> dict[str, _Place]:
    return {
        tensor.name: _Place(directory / container.file, tensor)
        for container in containers
        if isinstance(container, Container)
        for tensor in container.tensors
        if is_visual(tensor.name)
    }


def _compare(
    mine: Mapping[str, _Place],
    wanted: Mapping[str, _Place],
    on_bytes: Callable[[int], None],
) -> VisionTowerComparison:
    different: list[str] = []
    unlike: list[str] = []
    shared = [name for name in mine if name in wanted]
    with ExitStack() as stack:
        streams = _Streams(stack)
        for name in shared:
            here, there = mine[name], wanted[name]
            if not _comparable(here.tensor, there.tensor):
                unlike.append(name)
            elif not _same(streams, here, there):
                different.append(name)
            on_bytes(here.tensor.size)
    return VisionTowerComparison(len(shared), tuple(different), tuple(unlike))


class _Streams:
    """Files that stay open until all is compared; a tower lies in a few."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[Path, SteadyFile] = {}

    def read(self, place: _Place, at: int, count: int) -> bytes:
        """`count` bytes of a tensor from its byte `at` on."""
        file = self._open.get(place.path) or self._opened(place.path)
        try:
            return file.read(place.tensor.start + at, count)
        except (Changed, Unreadable) as error:
            raise _Stop(error.message) from error

    def _opened(self, path: Path) -> SteadyFile:
        file = open_regular(path)
        if isinstance(file, Unavailable):
            raise _Stop(f"{path.name} {file.reason}")
        self._open[path] = self._stack.enter_context(file)
        return file


def _widened(mine: Tensor, wanted: Tensor) -> bool:
    return (mine.dtype, wanted.dtype) == ("F32", "BF16")


def _comparable(mine: Tensor, wanted: Tensor) -> bool:
    same_kind = mine.dtype == wanted.dtype or _widened(mine, wanted)
    return mine.shape == wanted.shape and same_kind


def _same(streams: _Streams, mine: _Place, wanted: _Place) -> bool:
    factor = 2 if _widened(mine.tensor, wanted.tensor) else 1
    for at in range(0, wanted.tensor.size, CHUNK):
        count = min(CHUNK, wanted.tensor.size - at)
        expected = streams.read(wanted, at, count)
        found = streams.read(mine, at * factor, count * factor)
        if factor == 2:
            found = _narrowed(found)
        if found != expected:
            return False
    return True


def _narrowed(data: bytes) -> bytes:
    """F32 values that are exact BF16 ones as BF16; other bytes otherwise.

    A BF16 number is the upper half of the F32 number of the same value.
    """
    if data[0::4].strip(b"\0") or data[1::4].strip(b"\0"):
        return b""
    narrow = bytearray(len(data) // 2)
    narrow[0::2], narrow[1::2] = data[2::4], data[3::4]
    return bytes(narrow)
