"""Time as a value that is passed in, and a way for tests to let it pass at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Clock(Protocol):
    """What tells the time and lets it pass, both in seconds."""

    def now(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""


class _Compression:
    """Whether sleeping takes time, and how many seconds were skipped so far."""

    def __init__(self) -> None:
        self.on = False
        self.skipped = 0.0
        self._lock = threading.Lock()

    def skip(self, seconds: float) -> None:
        with self._lock:
            self.skipped += seconds


_compression = _Compression()


class SystemClock:
    """The machine's own monotonic clock; once `hurry` is set, no pause takes time."""

    def __init__(self, hurry: threading.Event | None = None) -> None:
        self._hurry = hurry or threading.Event()

    def now(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""
        return time.monotonic() + _compression.skipped

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass; a signal's handler may end it by raising."""
        if _compression.on:
            _compression.skip(seconds)
        else:
            self._hurry.wait(seconds)


@contextmanager
def compressed() -> Iterator[None]:
    """Within it all sleep of `SystemClock` passes at once: a mode for tests.

    The clock goes forward by what was slept, in all threads of this process, so that
    limits of time are reached as they would be in a slower world.
    """
    before = _compression.on
    _compression.on = True
    try:
        yield
    finally:
        _compression.on = before
