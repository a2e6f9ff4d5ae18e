"""Where a sparse file has data and where holes, which take no room on the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Extent:
    """A stretch of a file; a hole takes no room on the disk and reads as zeros."""

    start: int
    stop: int
    hole: bool


def extents(descriptor: int, size: int) -> Iterator[Extent]:
    """The file's data and holes in order; all is data where that cannot be asked."""
    sparse = os.fstat(descriptor).st_blocks * 512 < size
    if not sparse or not hasattr(os, "SEEK_HOLE"):
        yield Extent(0, size, hole=False)
        return
    at = 0
    while at < size:
        data = min(_seek(descriptor, at, os.SEEK_DATA, size), size)
        if at < data:
            yield Extent(at, data, hole=True)
        at = min(_seek(descriptor, data, os.SEEK_HOLE, size), size)
        if data < at:
            yield Extent(data, at, hole=False)


def _seek(descriptor: int, at: int, whence: int, size: int) -> int:
    """Where the next data or hole begins: at the end if there is none."""
    try:
        return os.lseek(descriptor, at, whence)
    except OSError as error:
        # A file system that cannot tell makes all of it data.
        return at if error.errno != errno.ENXIO and whence == os.SEEK_DATA else size
