"""Scan the values of a safetensors file: NaN, Inf, all zero, all the same.

The scanner is given bytes, it does not fetch them: an upload hands it the very
buffers that it sends, and `scan_file` reads for it when there is no upload.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from preflight.errors import PreflightError
from preflight.model.blocks import read_blocks
from preflight.model.coverage import ByteRange, Coverage
from preflight.model.headers import Container, Tensor
from preflight.model.values import Tally, format_of, meter

# Bytes per read, and at most per tally. Measured with 128 KiB to 4 MiB: what is lost to
# a smaller second-level cache is less than what fewer calls gain.
BLOCK = 2 << 20


@dataclass(frozen=True, slots=True)
class TensorValues:
    """What a tensor holds; `largest` is the greatest magnitude of a finite element.

    `zero`: there are elements, and all are zero. `constant`: there are two or more,
    and all have the same bits or are zero. In C64 the real and imaginary parts count
    singly; in the packed F4 and F6, and in an unknown dtype, a byte is an element.
    """

    file: str
    name: str
    count: int
    nonfinite: int
    zero: bool
    constant: bool
    largest: float


@dataclass(slots=True)
class _Torn:
    """An element of which some bytes came with one block and some with another."""

    data: bytearray
    missing: int


@dataclass(frozen=True, slots=True)
class _Fragment:
    """Bytes of element number `element` of a tensor, from byte `at` of it."""

    tensor: int
    element: int
    at: int
    data: bytes


class ValueScanner:
    """Takes the bytes of one file in blocks of any size, in any order, from threads.

    Bytes that come again, as when a part is sent a second time, count once.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._order = sorted(
            (n for n, t in enumerate(container.tensors) if t.start < t.end),
            key=lambda n: container.tensors[n].start,
        )
        tensors = [container.tensors[n] for n in self._order]
        self._starts = [tensor.start for tensor in tensors]
        self._ends = [tensor.end for tensor in tensors]
        # Where no tensor overlaps another, which a sound header ensures, the ends.
        self._reach = list(accumulate(self._ends, max))
        formats = {tensor.dtype: format_of(tensor.dtype) for tensor in tensors}
        meters = {dtype: meter(form) for dtype, form in formats.items()}
        self._widths = [formats[tensor.dtype].width for tensor in tensors]
        self._meters = [meters[tensor.dtype] for tensor in tensors]
        self._lock = threading.Lock()  # guards what follows, never held for a tally
        self._coverage = Coverage()
        self._torn: dict[tuple[int, int], _Torn] = {}
        self._tallies: list[Tally | None] = [None] * len(tensors)

    def feed(self, offset: int, block: memoryview) -> None:
        """Take `block`, the file's bytes from `offset` on; nothing of it is kept."""
        with self._lock:
            fresh = self._coverage.claim(offset, offset + len(block))
        for part in fresh:
            self._take(part, block[part.start - offset : part.stop - offset])

    def _take(self, part: ByteRange, block: memoryview) -> None:
        tallies: list[tuple[int, Tally]] = []
        fragments: list[_Fragment] = []
        first = bisect_right(self._reach, part.start)
        for index in range(first, bisect_left(self._starts, part.stop)):
            begin, width = self._starts[index], self._widths[index]
            low, high = max(part.start, begin), min(part.stop, self._ends[index])
            head = min(low + (begin - low) % width, high)
            tail = max(high - (high - begin) % width, head)
            for at in range(head, tail, BLOCK):
                piece = block[at - part.start : min(at + BLOCK, tail) - part.start]
                tallies.append((index, self._meters[index](piece)))
            if low < head or tail < high:
                fragments += (
                    _Fragment(index, *divmod(at - begin, width), bytes(data))
                    for at, data in (
                        (low, block[low - part.start : head - part.start]),
                        (tail, block[tail - part.start : high - part.start]),
                    )
                    if data
                )
        for index, data in self._mend(fragments):
            tallies.append((index, self._meters[index](memoryview(data))))
        self._add(tallies)

    def _mend(self, fragments: list[_Fragment]) -> list[tuple[int, bytearray]]:
        """Put fragments in their elements and return those that became whole."""
        whole = []
        with self._lock:
            for piece in fragments:
                key, width = (piece.tensor, piece.element), self._widths[piece.tensor]
                torn = self._torn.setdefault(key, _Torn(bytearray(width), width))
                torn.data[piece.at : piece.at + len(piece.data)] = piece.data
                torn.missing -= len(piece.data)
                if not torn.missing:
                    whole.append((piece.tensor, self._torn.pop(key).data))
        return whole

    def _add(self, tallies: list[tuple[int, Tally]]) -> None:
        with self._lock:
            for index, tally in tallies:
                total = self._tallies[index]
                if total is None:
                    self._tallies[index] = tally
                else:
                    total.add(tally)

    def result(self) -> tuple[TensorValues, ...]:
        """The values of each tensor, in the container's order.

        Raises PreflightError unless every byte of every tensor has been fed.
        """
        tensors = self._container.tensors
        found = [Tally(0, 0, 0, None) for _ in tensors]
        with self._lock:
            for index, tally in enumerate(self._tallies):
                number, width = self._order[index], self._widths[index]
                elements = (self._ends[index] - self._starts[index]) // width
                if tally:
                    found[number] = tally
                if found[number].count != elements:
                    raise PreflightError(
                        f"{self._container.file}: {found[number].count} of {elements} "
                        f"elements of {tensors[number].name} were scanned"
                    )
        return tuple(map(self._values, tensors, found))

    def _values(self, tensor: Tensor, tally: Tally) -> TensorValues:
        largest = 0.0
        if tally.nonfinite < tally.count:
            largest = format_of(tensor.dtype).decode(tally.peak)
        zero = tally.count > 0 and not tally.nonfinite and largest == 0.0
        return TensorValues(
            file=self._container.file,
            name=tensor.name,
            count=tally.count,
            nonfinite=tally.nonfinite,
            zero=zero,
            constant=tally.count > 1 and (zero or tally.pattern is not None),
            largest=largest,
        )


def scan_file(
    path: Path,
    container: Container,
    *,
    block: int = BLOCK,
    on_bytes: Callable[[int], None] | None = None,
    also: Callable[[memoryview], None] | None = None,
) -> tuple[TensorValues, ...]:
    """Read `path` once, `block` bytes at a time, and return the values of its tensors.

    `on_bytes` is told how many bytes are done with each block; `also` sees the bytes
    of the file in order, in memory that is used again. Raises SourceChanged if the
    file is not, or does not stay, the one that `container` describes.
    """
    scanner = ValueScanner(container)
    for part in read_blocks(path, size=container.size, block=block):
        scanner.feed(part.offset, part.data)
        if also:
            also(part.data)
        if on_bytes:
            on_bytes(len(part.data))
    return scanner.result()
