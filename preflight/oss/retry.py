"""Ask again what may be asked twice, with full jitter between the attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from preflight.errors import TransferError

T = TypeVar("T")


class Transient(TransferError):
    """OSS or the way to it failed in a manner that often passes.

    `wait` is how many seconds OSS asked us to wait, 0 when it did not say.
    """

    def __init__(
        self, message: str, *, hint: str = "", request_id: str = "", wait: float = 0.0
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Retry:
    """At most `attempts` calls; pauses of 0 to `base` * 2^n, at most `cap`, seconds."""

    attempts: int = 6
    base: float = 0.5
    cap: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int, asked: float) -> float:
        """Seconds to wait after the failed `attempt` (0 for the first)."""
        longest = min(self.cap, self.base * 2.0**attempt)
        return min(self.cap, max(asked, longest * self.jitter()))

    def call(self, function: Callable[[], T]) -> T:
        """The function's result; its last `Transient` error when none succeeds."""
        for attempt in range(self.attempts - 1):
            try:
                return function()
            except Transient as exc:  # noqa: PERF203 - the calls take far longer
                self.sleep(self.pause(attempt, exc.wait))
        return function()
