"""A file system that misbehaves as network mounts and dying disks do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from preflight.model.steady import Access, Calls


class Mount(Calls):
    """A mount that fails `times` times at one kind of call, and then no more."""

    def __init__(
        self, call: str = "", times: int = 0, number: int = errno.ESTALE
    ) -> None:
        self.call, self.times, self.number = call, times, number
        self.inode = 0

    def _maybe(self, call: str) -> None:
        if call == self.call and self.times > 0:
            self.times -= 1
            raise OSError(self.number, os.strerror(self.number))

    def open(self, path: Path) -> int:
        self._maybe("open")
        return super().open(path)

    def _renumbered(self, found: os.stat_result) -> os.stat_result:
        self.inode += 1
        return os.stat_result((found[0], self.inode, *found[2:]), _nanoseconds(found))

    def stat(self, path: Path) -> os.stat_result:
        self._maybe("stat")
        return self._renumbered(super().stat(path))

    def fstat(self, descriptor: int) -> os.stat_result:
        self._maybe("fstat")
        return self._renumbered(super().fstat(descriptor))

    def read(self, descriptor: int, view: memoryview, offset: int) -> int:
        self._maybe("read")
        return super().read(descriptor, view, offset)


def _nanoseconds(found: os.stat_result) -> dict[str, object]:
    return {"st_mtime_ns": found.st_mtime_ns}


def bad_disk() -> Access:
    """Of a disk whose sectors cannot be read."""
    return Access(0, calls=Mount("read", 10**9, errno.EIO))
