"""Scan the values of a safetensors file: NaN, Inf, all zero, all the same.

The scanner is given bytes, it does not fetch them: an upload hands it the very
buffers that it sends, and `scan_file` reads for it when there is no upload.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from preflight.errors import PreflightError
from preflight.language import say
from preflight.model.coverage import ByteRange, Coverage
from preflight.model.headers import Container, Tensor
from preflight.model.source import ModelFile
from preflight.model.steady import BLOCK, Changed
from preflight.model.tallies import Format, Kind, Tally, format_of, meter

OnPiece = Callable[[Tensor, int, memoryview], None]
"""Called with a tensor, the number of the first byte in it, and its bytes."""


@dataclass(frozen=True, slots=True)
class TensorValues:
    """What a tensor holds; `largest` is the greatest magnitude of a finite element.

    `floating`: the elements are floating-point numbers, not integers or packed bits.

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
    floating: bool = True


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
    `on_piece` is handed each tensor's bytes, too, each once, in memory that is used
    again.
    """

    def __init__(self, container: Container, on_piece: OnPiece | None = None) -> None:
        tensors = container.tensors
        self._container, self._on_piece = container, on_piece
        self._starts = [tensor.start for tensor in tensors]  # both ascend
        self._ends = [tensor.end for tensor in tensors]
        formats = {tensor.dtype: format_of(tensor.dtype) for tensor in tensors}
        meters = {dtype: meter(form) for dtype, form in formats.items()}
        self._formats = [formats[tensor.dtype] for tensor in tensors]
        self._meters = [meters[tensor.dtype] for tensor in tensors]
        self._lock = threading.Lock()  # guards what follows, never held for a tally
        self._coverage = Coverage()
        self._torn: dict[tuple[int, int], _Torn] = {}
        self._tallies = [Tally(0, 0, 0, None) for _ in tensors]

    def feed(self, offset: int, block: memoryview) -> None:
        """Take `block`, the file's bytes from `offset` on; nothing of it is kept."""
        with self._lock:
            fresh = self._coverage.claim(offset, offset + len(block))
        for part in fresh:
            self._take(part.start, block[part.start - offset : part.stop - offset])

    def _take(self, start: int, block: memoryview) -> None:
        tallies: list[tuple[int, Tally]] = []
        fragments: list[_Fragment] = []
        first = bisect_right(self._ends, start)
        for index in range(first, bisect_left(self._starts, start + len(block))):
            begin, width = self._starts[index], self._formats[index].width
            low = max(start, begin)
            data = block[low - start : self._ends[index] - start]
            if self._on_piece is not None and data:
                self._on_piece(self._container.tensors[index], low - begin, data)
            head = min((begin - low) % width, len(data))
            tail = len(data) - (len(data) - head) % width
            for at in range(head, tail, BLOCK):
                piece = data[at : min(at + BLOCK, tail)]
                tallies.append((index, self._meters[index](piece)))
            if head:
                fragments.append(self._fragment(index, low, data[:head]))
            if tail < len(data):
                fragments.append(self._fragment(index, low + tail, data[tail:]))
        for index, element in self._mend(fragments) if fragments else ():
            tallies.append((index, self._meters[index](memoryview(element))))
        with self._lock:
            for index, tally in tallies:
                self._tallies[index].add(tally)

    def _fragment(self, index: int, offset: int, data: memoryview) -> _Fragment:
        width = self._formats[index].width
        element, at = divmod(offset - self._starts[index], width)
        return _Fragment(index, element, at, bytes(data))

    def _mend(self, fragments: list[_Fragment]) -> list[tuple[int, bytearray]]:
        """Put fragments in their elements and return those that became whole."""
        whole = []
        with self._lock:
            for piece in fragments:
                key, width = (
                    (piece.tensor, piece.element),
                    self._formats[piece.tensor].width,
                )
                torn = self._torn.setdefault(key, _Torn(bytearray(width), width))
                torn.data[piece.at : piece.at + len(piece.data)] = piece.data
                torn.missing -= len(piece.data)
                if not torn.missing:
                    whole.append((piece.tensor, self._torn.pop(key).data))
        return whole

    def missing(self, wanted: Callable[[Tensor], bool]) -> list[ByteRange]:
        """The bytes of the wanted tensors that have not been fed yet."""
        with self._lock:
            return [
                each
                for tensor in filter(wanted, self._container.tensors)
                for each in self._coverage.missing(tensor.start, tensor.end)
            ]

    def result(
        self, wanted: Callable[[Tensor], bool] = lambda _: True
    ) -> tuple[TensorValues, ...]:
        """The values of each wanted tensor, in the container's order.

        Raises PreflightError unless every byte of all of these has been fed.
        """
        file = self._container.file
        chosen = [i for i, t in enumerate(self._container.tensors) if wanted(t)]
        tensors = [self._container.tensors[index] for index in chosen]
        forms = [self._formats[index] for index in chosen]
        with self._lock:
            tallies = [replace(self._tallies[index]) for index in chosen]
        for tensor, form, tally in zip(tensors, forms, tallies, strict=True):
            if tally.count * form.width != tensor.size:
                raise PreflightError(
                    say(
                        "{file}: {count} of the {size} bytes of {name} were scanned",
                        file=file,
                        count=tally.count * form.width,
                        size=tensor.size,
                        name=tensor.name,
                    )
                )
        return tuple(map(partial(_values, file), tensors, forms, tallies))


def _values(file: str, tensor: Tensor, form: Format, tally: Tally) -> TensorValues:
    largest = form.decode(tally.peak) if tally.nonfinite < tally.count else 0.0
    zero = tally.count > 0 and not tally.nonfinite and largest == 0.0
    return TensorValues(
        file=file,
        name=tensor.name,
        count=tally.count,
        nonfinite=tally.nonfinite,
        zero=zero,
        constant=tally.count > 1 and (zero or tally.pattern is not None),
        largest=largest,
        floating=form.kind not in (Kind.SIGNED, Kind.UNSIGNED, Kind.SCALE),
    )


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """What one reading of a file tells: its tensors' values, and its CRC-64."""

    values: tuple[TensorValues, ...]
    crc: int


def scan_file(
    file: ModelFile,
    container: Container,
    *,
    on_bytes: Callable[[int], None] | None = None,
    on_piece: OnPiece | None = None,
) -> ScannedFile:
    """Read `file` once; the values of its tensors, and its sum by the way.

    `on_bytes` is told how many bytes are done with each block, and `on_piece` sees
    those of each tensor in memory that is used again, both maybe from several threads.
    Raises `Changed` if the file is not, or does not stay, the one that `container`
    describes.
    """
    if file.size != container.size:
        raise Changed(
            file.name,
            say(
                "has {size:,} bytes, had {size_2:,}",
                size=file.size,
                size_2=container.size,
            ),
        )
    scanner = ValueScanner(container, on_piece)

    def take(offset: int, block: memoryview) -> None:
        scanner.feed(offset, block)
        if on_bytes:
            on_bytes(len(block))

    crc = file.crc(on_block=take)
    return ScannedFile(scanner.result(), crc)
