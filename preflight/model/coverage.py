"""Which bytes of a file have been seen, when blocks come in any order."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to, not including, `stop`."""

    start: int
    stop: int


class Coverage:
    """The ranges claimed so far, sorted and disjoint; neighbours are joined."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []

    def claim(self, start: int, stop: int) -> list[ByteRange]:
        """Mark [start, stop) and return what of it had not been marked before."""
        if start >= stop:
            return []
        if self._stops and start == self._stops[-1]:  # a file read in order
            self._stops[-1] = stop
            return [ByteRange(start, stop)]
        touched = self._touched(start, stop)
        starts, stops = self._starts[touched], self._stops[touched]
        fresh = self.missing(start, stop)
        self._starts[touched] = [min(start, *starts[:1])] if starts else [start]
        self._stops[touched] = [max(stop, *stops[-1:])] if stops else [stop]
        return fresh

    def _touched(self, start: int, stop: int) -> slice:
        """Which ranges overlap [start, stop) or border on it."""
        return slice(bisect_left(self._stops, start), bisect_right(self._starts, stop))

    def missing(self, start: int, stop: int) -> list[ByteRange]:
        """What of [start, stop) has not been marked."""
        touched = self._touched(start, stop)
        fresh, at = [], start
        for begin, end in zip(self._starts[touched], self._stops[touched], strict=True):
            if at < begin:
                fresh.append(ByteRange(at, begin))
            at = max(at, end)
        if at < stop:
            fresh.append(ByteRange(at, stop))
        return fresh
