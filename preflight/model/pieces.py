"""Whole units (numbers, rows) out of bytes that come in pieces of any size."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class _Torn:
    """A unit of which some bytes came with one piece and some with another."""

    data: bytearray
    missing: int


@dataclass(frozen=True, slots=True)
class Units:
    """Whole units from number `first` on."""

    first: int
    data: memoryview


class Pieces:
    """Takes each byte of a tensor once, in any order and from threads.

    `width`: bytes of a unit. Only torn units are kept until their other bytes come.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._lock = threading.Lock()
        self._torn: dict[int, _Torn] = {}

    def take(self, at: int, data: memoryview) -> Iterator[Units]:
        """The units that `data`, the bytes from `at` on, holds or completes."""
        head = min(-at % self._width, len(data))
        tail = len(data) - (len(data) - head) % self._width
        if head < tail:
            yield Units((at + head) // self._width, data[head:tail])
        if head:
            yield from self._mended(at, data[:head])
        if tail < len(data):
            yield from self._mended(at + tail, data[tail:])

    def _mended(self, at: int, data: memoryview) -> Iterator[Units]:
        unit, start = divmod(at, self._width)
        with self._lock:
            made = _Torn(bytearray(self._width), self._width)
            torn = self._torn.setdefault(unit, made)
            torn.data[start : start + len(data)] = data
            torn.missing -= len(data)
            if torn.missing:
                return
            del self._torn[unit]
        yield Units(unit, memoryview(torn.data))
