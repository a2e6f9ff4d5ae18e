"""Work of several directories, a few at a time; Ctrl-C ends all that is under way."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from preflight.errors import Interrupted
from preflight.language import say
from preflight.observer import Observer
from preflight.progress import Progress
from preflight.retry import RetryEvent
from preflight.together import Asked

_PATIENCE = 3.0  # seconds after Ctrl-C; what hangs in the network is not waited for


def in_lanes(
    tasks: Iterable[Callable[[], None]], lanes: int, stop: threading.Event
) -> None:
    """Do each task once, the first ones first, at most `lanes` of them at a time.

    A single lane is the caller's own thread. The first error of a task, or Ctrl-C, sets
    `stop`: no task begins any more, and those that look at it end.
    """
    todo = deque(tasks)

    def work() -> None:
        while not stop.is_set():
            try:
                task = todo.popleft()
            # Not asked before: another lane may take the last one in between.
            except IndexError:
                return
            try:
                task()
            except BaseException:
                stop.set()
                raise

    # Ctrl-C reaches the main thread alone: one lane had better be that thread.
    if lanes == 1 or len(todo) < 2:
        work()
        return
    begun = [Asked(work) for _ in range(min(lanes, len(todo)))]
    try:
        for lane in begun:
            lane.result()
    except BaseException:
        stop.set()
        # One deadline for all: the waits for many that hang must not add up.
        until = time.monotonic() + _PATIENCE
        for lane in begun:
            lane.wait(max(0.0, until - time.monotonic()))
        raise


class Stoppable:
    """An observer of a run that ends when `stop` is set, wherever it then is.

    It raises `Interrupted` where a stage begins, where bytes move and where something
    is tried again.
    """

    def __init__(self, observer: Observer, stop: threading.Event) -> None:
        self._observer, self._stop = observer, stop

    def check(self) -> None:
        """Raise `Interrupted` once it is over."""
        if self._stop.is_set():
            raise Interrupted(say("interrupted"))

    def say(self, text: str) -> None:
        """Hand it on."""
        self._observer.say(text)

    def retrying(self, event: RetryEvent) -> None:
        """Hand it on, or end instead."""
        self.check()
        self._observer.retrying(event)

    def note(self, text: str) -> None:
        """Hand it on."""
        self._observer.note(text)

    def progress(self) -> Progress:
        """The same, and bytes that move look whether it is over."""
        return _StoppableProgress(self._observer.progress(), self.check)

    def stage(self, name: str) -> AbstractContextManager[None]:
        """The stage, unless it is over."""
        self.check()
        return self._observer.stage(name)

    def reached(self, value: object) -> None:
        """Hand it on."""
        self._observer.reached(value)


class _StoppableProgress(Progress):
    """Hands all on; `check` raises once it is over."""

    def __init__(self, shown: Progress, check: Callable[[], None]) -> None:
        self._shown, self._check = shown, check

    def start(self, total: int, label: str) -> None:
        """Begin."""
        self._check()
        self._shown.start(total, label)

    def advance(self, count: int) -> None:
        """Count first: what is done is done."""
        self._shown.advance(count)
        self._check()

    def sent(self, count: int) -> None:
        """What was sent by this run."""
        self._shown.sent(count)

    def flow(self, file: str, part: int, count: int) -> None:
        """What is on its way; the end of a part is always told."""
        self._shown.flow(file, part, count)
        if count:
            self._check()

    def finish(self) -> None:
        """End the stage."""
        self._shown.finish()
