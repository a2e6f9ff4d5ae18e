"""Time as a value that is passed in, so that tests take none."""

from __future__ import annotations

import random
import time
from typing import Protocol


class Clock(Protocol):
    """What tells the time and lets it pass, both in seconds."""

    def now(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass."""


class SystemClock:
    """The machine's own monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let that many seconds pass; a signal's handler may end it by raising."""
        time.sleep(seconds)


def between(low: float, high: float) -> float:
    """A random number of seconds, so that many clients do not knock in step."""
    return random.uniform(low, high)  # noqa: S311
