"""Bytes to send, summed as they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from preflight.crc import crc64

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
