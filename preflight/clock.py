"""Time as a value that is passed in, and a way for tests to let it pass at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

# Seconds. Two Date headers and the time of an object are whole seconds, each.
_COMPARED = 3.0
_FIRST_YEAR = 2020  # no service that is spoken of here existed before
_UNCOMPARED = 60.0  # more than machines differ that are set by NTP at all


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


def seconds_ahead(date: str) -> float | None:
    """Seconds that the writer of a Date header is ahead of this machine, if known."""
    try:
        written = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    # A gateway without a clock of its own writes 1970; that tells nothing of a service.
    return None if written.year < _FIRST_YEAR else written.timestamp() - time.time()


@dataclass(frozen=True, slots=True)
class ServiceClocks:
    """How many seconds the clocks of both services are ahead of this machine's.

    None where a service did not tell the time.
    """

    oss: float | None = None
    studio: float | None = None

    def is_written_after(self, written: datetime, created: datetime) -> bool:
        """Whether an object was surely written after a job was created.

        `written` is by the clock of OSS, `created` by that of Model Studio. Two clocks
        that differ must not make an old job look new, or an imported model like one
        of other bytes: what both say of the time now is compared first.
        """
        if self.oss is None or self.studio is None:
            return (written - created).total_seconds() > _UNCOMPARED
        apart = self.oss - self.studio
        return (written - created).total_seconds() - apart > _COMPARED


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
