"""What a run waits for, told to people: once for each cause, then now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable

from preflight.language import say
from preflight.observer import Observer
from preflight.progress import human_time
from preflight.retry import RetryEvent, Transient, log_retry

SOON = 5.0  # seconds; what passes sooner is nobody's concern
AGAIN = 60.0  # seconds between two lines of one cause


class Outage:
    """Hears of each retry, from any thread, and tells `observer` of those that matter.

    While something moves, a failure is in the log alone. A cause that is new is told,
    and one that lasts is told again after `AGAIN` seconds.
    """

    def __init__(self, observer: Observer, service: str) -> None:
        self._observer, self._service = observer, service
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def tell(self, event: RetryEvent) -> None:
        """One retry."""
        log_retry(event)
        with self._lock:
            self._observer.retrying(event)
            idle = event.waited if event.limit is None else event.idle
            if idle < SOON:
                self._told.clear()
                return
            why = event.cause.message
            if isinstance(event.cause, Transient):
                why = event.cause.why
            if why in self._told and idle - max(self._told.values()) < AGAIN:
                return
            self._told[why] = idle
            self._observer.say(self._words(event, why, idle))

    def _words(self, event: RetryEvent, why: str, idle: float) -> str:
        words = say(
            "no byte for {idle}, waiting for {service} ({why})",
            idle=human_time(idle),
            service=self._service,
            why=why,
        )
        if event.limit is None:
            return words
        limit = human_time(event.limit).removesuffix(" 00 s")
        return say(
            "{words}; gives up after {limit} without progress", words=words, limit=limit
        )


def teller(observer: Observer) -> Callable[[RetryEvent], None]:
    """What tells `observer` of retries of single questions, more and more rarely."""

    def tell(event: RetryEvent) -> None:
        log_retry(event)
        observer.retrying(event)
        # The 1st, 2nd, 4th, 8th …: an outage of minutes is a few lines.
        if event.number & (event.number - 1) == 0:
            told = say("{message}; trying again", message=event.cause.message)
            if event.waited >= 1:
                told = say(
                    "{told}; waited {waited:.0f} s", told=told, waited=event.waited
                )
            observer.say(told)

    return tell
