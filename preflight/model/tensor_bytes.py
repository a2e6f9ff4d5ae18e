"""The bytes of single tensors, in the files of a model and of its base."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from preflight.findings import Unavailable
from preflight.model.headers import Container, Reading, Tensor
from preflight.model.source import OpenFile
from preflight.model.steady import Changed, Unreadable, open_regular

CHUNK = 1 << 20  # bytes of the base held at a time; twice that of an F32 copy


class CannotCompare(Exception):
    """A file could not be read; the text says which and why."""


Opener = Callable[[str], "OpenFile | Unavailable"]
"""Opens a weight file of one model by its name; the reason follows that name."""


def files_of(directory: Path) -> Opener:
    """The files of a directory on this machine."""
    return lambda name: open_regular(directory / name)


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor and the file it lies in."""

    opener: Opener
    file: str
    tensor: Tensor


def places(opener: Opener, containers: Iterable[Reading]) -> dict[str, Place]:
    """Where each tensor of the readable files lies, by name."""
    return {
        tensor.name: Place(opener, container.file, tensor)
        for container in containers
        if isinstance(container, Container)
        for tensor in container.tensors
    }


class OpenTensors:
    """Reads tensors of files that stay open until all is compared; from any thread."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack, self._lock = stack, threading.Lock()
        self._open: dict[tuple[Opener, str], OpenFile] = {}

    def read(self, place: Place, at: int, count: int) -> bytes:
        """`count` bytes of a tensor from its byte `at` on; raises `CannotCompare`."""
        with self._lock:
            file = self._open.get((place.opener, place.file)) or self._opened(place)
        try:
            return file.read(place.tensor.start + at, count)
        except (Changed, Unreadable) as error:
            raise CannotCompare(error.message) from error

    def _opened(self, place: Place) -> OpenFile:
        file = place.opener(place.file)
        if isinstance(file, Unavailable):
            raise CannotCompare(f"{place.file} {file.reason}")
        self._stack.enter_context(closing(file))
        self._open[place.opener, place.file] = file
        return file

    def same(self, mine: Place, wanted: Place, ranges: Iterable[range]) -> bool:
        """Whether the values in these byte ranges of `wanted` are those of `mine`."""
        factor = 2 if _widened(mine.tensor, wanted.tensor) else 1
        for part in ranges:
            count = len(part)
            expected = self.read(wanted, part.start, count)
            found = self.read(mine, part.start * factor, count * factor)
            if (_narrowed(found) if factor == 2 else found) != expected:
                return False
        return True


def comparable(mine: Tensor, wanted: Tensor) -> bool:
    """Whether shapes are alike, and dtypes too or the exact widening of BF16 to F32."""
    same_kind = mine.dtype == wanted.dtype or _widened(mine, wanted)
    return mine.shape == wanted.shape and same_kind


def all_of(tensor: Tensor) -> Iterator[range]:
    """The byte ranges that make up the tensor."""
    for at in range(0, tensor.size, CHUNK):
        yield range(at, min(at + CHUNK, tensor.size))


def samples_of(tensor: Tensor, *, count: int, size: int) -> Iterator[range]:
    """`count` ranges of `size` bytes, spread over the tensor from its first byte on."""
    step = max(size, tensor.size // count // 8 * 8)  # on the border of an element
    for at in range(0, tensor.size, step):
        yield range(at, min(at + size, tensor.size))


def _widened(mine: Tensor, wanted: Tensor) -> bool:
    return (mine.dtype, wanted.dtype) == ("F32", "BF16")


def _narrowed(data: bytes) -> bytes:
    """F32 values that are exact BF16 ones as BF16; other bytes otherwise.

    A BF16 number is the upper half of the F32 number of the same value.
    """
    if data[0::4].strip(b"\0") or data[1::4].strip(b"\0"):
        return b""
    narrow = bytearray(len(data) // 2)
    narrow[0::2], narrow[1::2] = data[2::4], data[3::4]
    return bytes(narrow)
