"""The one loop that asks again what may be asked twice.

Who waits for what is told by one frozen `RetryEvent` for each failure that is followed
by another attempt. Tests pass a clock of their own, or use `clock.compressed`.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TypeVar

from preflight.clock import Clock, SystemClock
from preflight.errors import PreflightError
from preflight.language import say

T = TypeVar("T")

_log = logging.getLogger(__name__)

LONGEST_ASKED = 120.0  # seconds; a server that asks for more is not waited for


class Transient(PreflightError):
    """A failure that often passes: the same request can be sent again.

    `wait`: the least number of seconds that the server asks to wait, 0 when it does
    not say. `sent`: whether the request may have been carried out. `why`: the cause in
    a few words, without what was tried.
    """

    is_outage = True  # else waiting does not help, and the attempts are all

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        request_id: str = "",
        wait: float = 0.0,
        sent: bool = True,
        why: str = "",
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.wait = wait
        self.sent = sent
        self.why = why or message


@dataclass(frozen=True, slots=True)
class RetryEvent:
    """One failed attempt, counted from 1, that is followed by another.

    `pause`: seconds until then; `waited`: seconds of the pauses before this one. With
    patience, `idle`: seconds since anything moved; `limit`: how many end it.
    """

    number: int
    pause: float
    waited: float
    cause: PreflightError
    idle: float = 0.0
    limit: float | None = None


def log_retry(event: RetryEvent) -> None:
    """Tell of a retry in the log alone."""
    _log.info(say("%s; trying again in %.1f s"), event.cause.message, event.pause)


class Patience:
    """How many seconds may pass in which nothing moves.

    All that work on one thing share it: what one of them moves gives the others time.
    `over` ends it early, when nobody waits for the result any more.
    """

    def __init__(
        self,
        seconds: float,
        clock: Clock | None = None,
        *,
        over: Callable[[], bool] = lambda: False,
    ) -> None:
        self.seconds = seconds
        self._clock = clock or SystemClock()
        self._over = over
        self._lock = threading.Lock()
        self._moved = self._clock.now()
        self._waiting = 0

    def moved(self) -> None:
        """Something went on: the time begins anew."""
        with self._lock:
            self._moved = self._clock.now()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Somebody waits while the block runs; the first to do so begins the time."""
        with self._lock:
            if not self._waiting:
                self._moved = self._clock.now()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    @property
    def idle(self) -> float:
        """Seconds since something moved."""
        with self._lock:
            return self._clock.now() - self._moved

    @property
    def left(self) -> float:
        """Seconds until it ends, 0 when it has ended."""
        return 0.0 if self._over() else max(0.0, self.seconds - self.idle)


@dataclass(frozen=True, slots=True)
class Retry:
    """At most `attempts` calls; with `patience` so many at least, and until it ends.

    Pauses, in seconds: a random part of `base` * 2^n but at most of `cap`, and never
    less than `least` and than a server asks for. One that asks for more than
    `longest_asked` is not waited for, or with `patience` asked after so long. Only
    failures of the kind `on` are followed by another attempt.
    """

    attempts: int | None = 6
    base: float = 0.5
    cap: float = 30.0
    least: float = 0.0
    longest_asked: float = LONGEST_ASKED
    patience: Patience | None = None
    on: type[PreflightError] = Transient
    clock: Clock = field(default_factory=SystemClock)
    jitter: Callable[[], float] = random.random
    on_retry: Callable[[RetryEvent], None] = log_retry

    def call(self, function: Callable[[], T]) -> T:
        """The function's result; its last error when no attempt succeeds."""
        waited = 0.0
        for number in count(1):
            try:
                return function()
            except self.on as error:
                failed = error
            waited += self.wait(number, waited, failed)
        raise AssertionError("unreachable")

    def wait(self, number: int, waited: float, error: PreflightError) -> float:
        """Pause after failed attempt `number` (from 1); the seconds that it took.

        `waited`: seconds of the pauses before. Raises `error` to give up.
        """
        pause = self._pause_after(number, error)
        if pause is None:
            raise error
        idle, limit = 0.0, None
        if self.patience is not None:
            idle, limit = self.patience.idle, self.patience.seconds or None
        self.on_retry(RetryEvent(number, pause, waited, error, idle, limit))
        self.clock.sleep(pause)
        return pause

    def _pause_after(self, number: int, error: PreflightError) -> float | None:
        transient = error if isinstance(error, Transient) else None
        asked = transient.wait if transient else 0.0
        if self.attempts is not None and transient and not transient.is_outage:
            return replace(self, patience=None).pause(number, asked)
        return self.pause(number, asked)

    def pause(self, number: int, asked: float) -> float | None:
        """Seconds to wait after failed attempt `number` (from 1); None to give up.

        `asked`: seconds that the server asks to wait. Where patience ends sooner, the
        last attempt is made at its very end.
        """
        enough = self.attempts is not None and number >= self.attempts
        if enough and self.patience is None:
            return None
        # Full jitter: many clients must not knock in step.
        longest = min(self.cap, self.base * 2.0 ** min(number - 1, 30))
        pause = max(self.least, asked, longest * self.jitter())
        if self.patience is None:
            return pause if asked <= self.longest_asked else None
        pause = min(pause, max(longest, self.longest_asked))
        left = self.patience.left
        if left:
            return min(pause, left)
        # A slow line moves nothing for long: one failure then is no end.
        return None if enough or self.attempts is None else pause
