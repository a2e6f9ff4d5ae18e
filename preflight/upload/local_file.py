"""One planned file on this machine: cut into parts, opened once, read once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from preflight.clock import SystemClock
from preflight.crc import combine_all, crc64
from preflight.errors import PreflightError
from preflight.language import say
from preflight.model.steady import Access, SteadyFile, open_steady
from preflight.oss.body import BLOCK, OnBlock, SliceBody
from preflight.oss.models import Part
from preflight.upload.context import Context
from preflight.upload.parts import part_size
from preflight.upload.plan import UploadItem
from preflight.upload.workers import Workers


def local_crc(
    item: UploadItem,
    on_block: OnBlock | None = None,
    *,
    on_bytes: Callable[[int], None] | None = None,
) -> int:
    """The CRC-64 of what an item is made of, read once; `on_block` sees a file's bytes.

    `on_bytes` hears how many bytes were read with each block. Raises `SourceChanged`
    when the file is not what was planned.
    """

    def look(at: int, block: memoryview) -> None:
        if on_block is not None:
            on_block(item.name, at, block)
        if on_bytes is not None:
            on_bytes(len(block))

    if isinstance(item.source, bytes):
        if on_bytes is not None:
            on_bytes(len(item.source))
        return crc64(item.source)
    with open_steady(item.source, item.name, item.stamp) as file:
        return file.crc(on_block=look)


class _WorkersClock(SystemClock):
    """A clock whose pauses end with the run."""

    def __init__(self, workers: Workers) -> None:
        super().__init__()
        self._workers = workers

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass; raises `Stopped` when the run is ending."""
        self._workers.check()
        super().sleep(seconds)


def open_item(item: UploadItem, workers: Workers) -> SteadyFile:
    """An item's file, as it was when the plan was made; the caller closes it.

    Raises `SourceChanged`, and `TransferError` where the system refuses to read it.
    """
    if isinstance(item.source, bytes):
        raise PreflightError(say("{name} is no file", name=item.name))
    access = Access(clock=_WorkersClock(workers))
    return open_steady(item.source, item.name, item.stamp, access)


class LocalFile:
    """A file as parts of `step` bytes, which several threads read at a time."""

    def __init__(self, item: UploadItem, context: Context) -> None:
        self.item, self._context = item, context
        self.step = part_size(item.size, context.part)
        # A part may be compared with an object, with a part that OSS holds, and with
        # another upload's after the first was lost: it is read for the first of them.
        self._sums: dict[int, int] = {}
        self._source: SteadyFile | None = None
        self._lock = threading.Lock()

    def cut(self, step: int) -> None:
        """Take parts of `step` bytes from now on."""
        if step != self.step:
            self.step = step
            self._sums.clear()

    @property
    def numbers(self) -> range:
        """The numbers of all parts, from 1 on."""
        return range(1, -(-self.item.size // self.step) + 1)

    def span(self, number: int) -> tuple[int, int]:
        """Where a part begins, and how many bytes it has."""
        offset = (number - 1) * self.step
        return offset, min(self.step, self.item.size - offset)

    def is_summed(self, number: int) -> bool:
        """Whether a part's CRC-64 is known."""
        return number in self._sums

    @property
    def is_unread(self) -> bool:
        """Whether no part's CRC-64 is known."""
        return not self._sums

    def sum(self, number: int, buffer: memoryview) -> int:
        """A part's CRC-64; it is read unless that is known."""
        if number not in self._sums:
            for _ in self.blocks(number, buffer):
                pass
        return self._sums[number]

    def sent(self, part: Part) -> None:
        """Note what `part` of OSS proves: its CRC-64 is that of the bytes read here."""
        if part.crc64 is not None:
            self._sums[part.number] = part.crc64

    def blocks(self, number: int, buffer: memoryview) -> Iterator[memoryview]:
        """A part's bytes, block by block in `buffer`, to compare and not to send."""
        offset, length = self.span(number)
        body = SliceBody(self, offset, length, buffer=buffer, on_block=self._seen)
        while block := body.read(BLOCK):
            yield block
        self._sums[number] = body.crc

    def body(self, number: int, buffer: memoryview) -> SliceBody:
        """A part to send, at the rate that is allowed."""
        offset, length = self.span(number)
        piece = buffer[: self._context.throttle.block(len(buffer))]
        going = partial(self._going, number, offset)
        return SliceBody(self, offset, length, buffer=piece, on_block=going)

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; how many bytes came, never 0."""
        # Every block passes here: a run that is ending ends within one, and a thread
        # that hung in the network until now does not touch what is closed meanwhile.
        self._context.workers.check()
        return self._opened().read_into(view, offset)

    def _seen(self, at: int, block: memoryview) -> None:
        if self._context.on_block is not None:
            self._context.on_block(self.item.name, at, block)

    def _going(self, number: int, offset: int, at: int, block: memoryview) -> None:
        self._seen(at, block)
        self._context.traffic.move(len(block))
        self._context.flow(self.item.name, number, at - offset + len(block))
        self._context.throttle.take(len(block))

    def joined(self, sums: Mapping[int, int]) -> int:
        """The file's CRC-64 from the `sums` of its parts."""
        return combine_all((sums[n], self.span(n)[1]) for n in self.numbers)

    @property
    def crc(self) -> int:
        """The file's CRC-64, once every part is summed."""
        return self.joined(self._sums)

    def _opened(self) -> SteadyFile:
        with self._lock:
            # One descriptor for all threads, which read it by offset (pread).
            if self._source is None:
                self._source = open_item(self.item, self._context.workers)
            return self._source

    def end_reading(self) -> None:
        """Close it. Raises `SourceChanged` unless it stayed what was planned."""
        self._opened().check_unchanged()
        self.close()

    def close(self) -> None:
        """Close it; it is opened again when a part is read again."""
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.close()
