"""Who is being waited for, told before the time-out tells it.

A service that accepts a connection and then says nothing looks like a slow one, and for
a minute nobody knows what a run is doing. One thread looks after all calls of a client
and names the one that has waited longest, in the log as a warning.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from preflight.language import say

SOON = 10.0  # seconds without anything; then again after twice as many
_LOOKS = 0.5  # seconds between two looks

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Call:
    """One call under way; `sign` changes while bytes still move."""

    action: str
    sign: Callable[[], object] | None
    seen: object = None


class Watch:
    """Looks after the calls of one client; safe for threads.

    `service` is what it is called; told is what nothing moved for in `soon` seconds.
    Where no thread can be had nothing is told, and all goes on.
    """

    def __init__(self, service: str, *, soon: float = SOON) -> None:
        self._service, self._soon = service, soon
        self._lock = threading.Lock()
        self._calls: dict[int, _Call] = {}
        self._moved, self._due = time.monotonic(), soon
        self._over: threading.Event | None = None

    @contextmanager
    def waiting(
        self, action: str, sign: Callable[[], object] | None = None
    ) -> Iterator[None]:
        """The block waits for an answer to `action`.

        `sign` gives another value whenever bytes have moved since it was asked.
        """
        call = _Call(action, sign, sign() if sign else None)
        with self._lock:
            if not self._calls:
                self._move()
            self._calls[id(call)] = call
            self._start()
        try:
            yield
        finally:
            with self._lock:
                del self._calls[id(call)]
                self._move()

    def close(self) -> None:
        """Look no more; a later call begins anew."""
        with self._lock:
            if self._over is not None:
                self._over.set()
            self._over = None

    def _move(self) -> None:
        self._moved, self._due = time.monotonic(), self._soon

    def _start(self) -> None:
        if self._over is not None:
            return
        self._over = over = threading.Event()
        looks = min(_LOOKS, self._soon / 2)
        thread = threading.Thread(target=self._run, args=(over, looks), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # "can't start new thread": nobody looks, as `over` stays
            return

    def _run(self, over: threading.Event, looks: float) -> None:
        while not over.wait(looks):
            if told := self._look():
                _log.warning("%s", told)

    def _look(self) -> str:
        """What is worth telling now, if anything."""
        with self._lock:
            for call in self._calls.values():
                now = call.sign() if call.sign else None
                if now != call.seen:
                    call.seen = now
                    self._move()
            idle = time.monotonic() - self._moved
            if not self._calls or idle < self._due:
                return ""
            self._due *= 2
            oldest = next(iter(self._calls.values()))
            return say(
                "waiting for {service} since {idle:.0f} s: {action}",
                service=self._service,
                idle=idle,
                action=oldest.action,
            )
