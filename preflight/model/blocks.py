"""Read a whole file in blocks, and know that it stayed the same meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from errno import ENXIO
from io import FileIO
from mmap import mmap
from pathlib import Path

from preflight.errors import SourceChanged

_HINT = "let whatever writes to the directory finish, then run the same command again"


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a file from `offset` on; the next block uses the same memory."""

    offset: int
    data: memoryview


@dataclass(frozen=True, slots=True)
class _Extent:
    """A stretch of a file; a hole takes no room on the disk and reads as zeros."""

    start: int
    stop: int
    hole: bool


def read_blocks(path: Path, *, size: int, block: int) -> Iterator[Block]:
    """All bytes of a file, in order, `block` at a time; holes are not read from disk.

    Raises SourceChanged if the file has not `size` bytes, cannot be read, or is not
    the same when the last block was taken: another size, time of change or inode.
    """
    try:
        with FileIO(path) as source:
            before = _identity(os.fstat(source.fileno()))
            if before[0] != size:
                raise _changed(path, f"has {before[0]} bytes, had {size}")
            yield from _blocks(source, size, block, path)
        after = _identity(path.stat())
    except OSError as fault:
        raise _changed(path, f"cannot be read: {fault.strerror}") from fault
    if after != before:
        raise _changed(path, "was written to or replaced while it was read")


def _changed(path: Path, what: str) -> SourceChanged:
    return SourceChanged(f"{path.name} {what}", hint=_HINT)


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev


def _blocks(source: FileIO, size: int, block: int, path: Path) -> Iterator[Block]:
    # An anonymous map begins on a page: the kernel copies into memory that does in
    # half the time that it takes to fill a bytearray, which begins 16 bytes later.
    buffer, zeros = memoryview(mmap(-1, block)), memoryview(bytes(block))
    for extent in _extents(source.fileno(), size):
        source.seek(extent.start)
        at = extent.start
        while at < extent.stop:
            length = min(block, extent.stop - at)
            if not extent.hole:
                length = source.readinto(buffer[:length]) or 0
            if not length:
                raise _changed(path, f"ended after {at} of {size} bytes")
            yield Block(at, (zeros if extent.hole else buffer)[:length])
            at += length


def _extents(descriptor: int, size: int) -> Iterator[_Extent]:
    """The file's data and holes in order; all is data where that cannot be asked."""
    sparse = os.fstat(descriptor).st_blocks * 512 < size
    if not sparse or not hasattr(os, "SEEK_HOLE"):
        yield _Extent(0, size, hole=False)
        return
    at = 0
    while at < size:
        data = min(_seek(descriptor, at, os.SEEK_DATA, size), size)
        if at < data:
            yield _Extent(at, data, hole=True)
        at = min(_seek(descriptor, data, os.SEEK_HOLE, size), size)
        if data < at:
            yield _Extent(data, at, hole=False)


def _seek(descriptor: int, at: int, whence: int, size: int) -> int:
    """Where the next data or hole begins: at the end if there is none."""
    try:
        return os.lseek(descriptor, at, whence)
    except OSError as fault:
        # A file system that cannot tell makes all of it data.
        return at if fault.errno != ENXIO and whence == os.SEEK_DATA else size
