"""Bytes to send: read with care, summed as they are read, never mixed or short."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from preflight.crc import crc64
from preflight.errors import SourceChanged, TransferError

BLOCK = 1 << 20  # bytes handed to the socket at once; 16 KiB costs half the throughput


OnBlock = Callable[[str, int, memoryview], None]
"""Sees (file name, offset, bytes) of each block read; the memory is used again."""


class Body(Protocol):
    """One request body; `len` in bytes, `crc` that of what was read so far.

    `read` may return a view of a buffer that the next call overwrites.
    """

    crc: int

    @property
    def len(self) -> int:
        """How many bytes the body has; requests asks for it by this name."""

    def read(self, size: int = -1, /) -> memoryview:
        """At most `size` bytes, an empty view at the end."""


class BytesBody:
    """A body that lies in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0
        self.crc = 0

    @property
    def len(self) -> int:
        """How many bytes the body has."""
        return len(self._data)

    def read(self, size: int = -1, /) -> memoryview:
        """The next `size` bytes, all that is left when negative."""
        end = len(self._data) if size < 0 else self._at + size
        piece = self._data[self._at : end]
        self._at += len(piece)
        self.crc = crc64(piece, self.crc)
        return piece


@dataclass(frozen=True, slots=True)
class Stamp:
    """What must stay the same about a file while it is read."""

    size: int
    mtime_ns: int
    inode: int

    @staticmethod
    def of(found: os.stat_result) -> Stamp:
        """The stamp of a stat result."""
        return Stamp(found.st_size, found.st_mtime_ns, found.st_ino)


@dataclass(frozen=True, slots=True)
class OpenSource:
    """A local file that was opened and had the expected stamp."""

    path: Path
    descriptor: int
    stamp: Stamp

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; how many bytes came, never 0.

        Raises `SourceChanged` at a premature end, `TransferError` when unreadable.
        """
        try:
            count = os.preadv(self.descriptor, [view], offset)
        except OSError as exc:
            raise TransferError(f"{self.path.name}: {exc.strerror}") from exc
        if count == 0:
            raise SourceChanged(f"{self.path.name} became shorter while it was read")
        return count

    def read_all(self) -> bytes:
        """The whole file; for small ones."""
        buffer, done = bytearray(self.stamp.size), 0
        while done < len(buffer):
            done += self.read_into(memoryview(buffer)[done:], done)
        return bytes(buffer)

    def close(self) -> None:
        """Close the descriptor; nothing can be read any more."""
        os.close(self.descriptor)

    def crc(self, *, on_block: Callable[[int, memoryview], None] | None = None) -> int:
        """The CRC-64 of the whole file, read once; `on_block` as in `SliceBody`."""
        body = SliceBody(self, 0, self.stamp.size, on_block=on_block)
        while body.read(BLOCK):
            pass
        return body.crc

    def check_unchanged(self) -> None:
        """Raise `SourceChanged` unless file and path are still what was opened."""
        _check_stamp(self.path, self.stamp, os.fstat(self.descriptor))
        check_path(self.path, self.stamp)


def check_path(path: Path, stamp: Stamp) -> None:
    """Raise `SourceChanged` unless the path still is the file of that stamp."""
    try:
        found = path.stat()
    except OSError as exc:
        raise SourceChanged(f"{path.name} vanished: {exc.strerror}") from exc
    _check_stamp(path, stamp, found)


def _check_stamp(path: Path, stamp: Stamp, found: os.stat_result) -> None:
    if Stamp.of(found) != stamp:
        raise SourceChanged(
            f"{path.name} changed while it was read",
            hint="wait until the training has ended, then run the command again",
        )


class Source(Protocol):
    """Where a body's bytes come from; several threads read from one."""

    def read_into(self, view: memoryview, offset: int, /) -> int:
        """Fill `view` from `offset`; how many bytes came, never 0."""


class SliceBody:
    """A body that is a stretch of a source, read in blocks into one buffer.

    `buffer` is used again by the next body of the same thread. `on_block` sees each
    block and its offset in the file before it is sent, in that same buffer; what it
    raises ends the reading.
    """

    def __init__(
        self,
        source: Source,
        offset: int,
        length: int,
        *,
        buffer: memoryview | None = None,
        on_block: Callable[[int, memoryview], None] | None = None,
    ) -> None:
        self._source = source
        self._at, self._end = offset, offset + length
        self._length = length
        self._buffer = self._new(length) if buffer is None else buffer
        self._on_block = on_block
        self.crc = 0

    @staticmethod
    def _new(length: int) -> memoryview:
        return memoryview(bytearray(min(BLOCK, length)))

    @property
    def len(self) -> int:
        """How many bytes the body has."""
        return self._length

    def read(self, size: int = -1, /) -> memoryview:
        """At most `size` bytes and at most one block; empty at the end."""
        # http.client sends what it gets as it is: a view of the buffer is not copied
        # once more before it reaches the socket.
        left = min(self._end - self._at, len(self._buffer))
        piece = self._buffer[: left if size < 0 else min(size, left)]
        if not piece:
            return piece
        # Summed and shown from the very bytes that go out, so that no second read can
        # see another file than the one that was sent.
        piece = piece[: self._source.read_into(piece, self._at)]
        self.crc = crc64(piece, self.crc)
        if self._on_block is not None:
            self._on_block(self._at, piece)
        self._at += len(piece)
        return piece


def opened(path: Path, expected: Stamp) -> OpenSource:
    """Open a regular file for reading; `close` it in the end.

    Raises `SourceChanged` when it is gone, is no regular file any more or has
    another stamp than `expected`.
    """
    try:
        # Without O_NONBLOCK a FIFO put in the file's place would hang the open.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise SourceChanged(f"{path.name} cannot be opened: {exc.strerror}") from exc
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or Stamp.of(found) != expected:
        os.close(descriptor)
        raise SourceChanged(f"{path.name} changed since the directory was checked")
    return OpenSource(path, descriptor, expected)


@contextmanager
def open_source(path: Path, expected: Stamp) -> Iterator[OpenSource]:
    """An `opened` file, closed again on leaving."""
    source = opened(path, expected)
    try:
        yield source
    finally:
        source.close()
