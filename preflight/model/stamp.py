"""What must stay the same about a file while it is read: its size and its time."""

from __future__ import annotations

import os
from dataclasses import dataclass

_SECOND = 10**9  # nanoseconds


@dataclass(frozen=True, slots=True)
class Stamp:
    """What must stay the same about a file: `size` in bytes, and `mtime_ns`."""

    size: int
    mtime_ns: int

    @staticmethod
    def of(found: os.stat_result) -> Stamp:
        """The stamp of a stat result."""
        return Stamp(found.st_size, found.st_mtime_ns)

    def fits(self, other: Stamp) -> bool:
        """Whether it is that of the same content.

        A mount that keeps whole seconds (CIFS, FAT, some of FUSE) shows the fraction
        until it has forgotten the file, and the bare second after that. What is written
        anew within that second has a fraction of its own.
        """
        times = (self.mtime_ns, other.mtime_ns)
        whole = any(time % _SECOND == 0 for time in times)
        alike = times[0] // _SECOND == times[1] // _SECOND
        same = times[0] == times[1] or (whole and alike)
        return self.size == other.size and same
