"""A limit on the bytes a second that all connections send together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_LARGEST_WAIT = 1.0  # seconds; a server takes longer silences for a dead client


class Throttle:
    """Hands out slots of time; `rate` in bytes a second, 0 for no limit."""

    def __init__(
        self,
        rate: int,
        sleep: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate, self._sleep, self._clock = rate, sleep, clock
        self._lock = threading.Lock()
        self._free = 0.0

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may go."""
        if not self._rate:
            return
        # Slots are given out under the lock and waited for outside it, so that threads
        # wait side by side and the rate holds for all of them together.
        with self._lock:
            now = self._clock()
            start = max(now, self._free)
            self._free = start + count / self._rate
        if start > now:
            self._sleep(start - now)

    def block(self, largest: int) -> int:
        """Bytes to send at once, at most `largest`, so that no wait becomes long."""
        if not self._rate:
            return largest
        return max(1, min(largest, int(self._rate * _LARGEST_WAIT / 8)))
