"""Threads that do jobs from one queue; the first error, or Ctrl-C, stops them all.

A job that is `Postponed` is no error: it goes back to the queue, for whoever is free.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from mmap import mmap

from preflight.clock import SystemClock
from preflight.errors import Interrupted, PreflightError
from preflight.language import say
from preflight.oss.body import BLOCK
from preflight.retry import Retry, Transient

Job = Callable[[memoryview], None]
"""Work for one thread, given that thread's buffer of `BLOCK` bytes."""

# Seconds that threads have to notice that it is over. After Ctrl-C nobody waits for a
# connection that hangs; otherwise a part on its way must not land after the abort.
_PATIENCE, _PATIENCE_INTERRUPTED = 15.0, 0.7


class Stopped(PreflightError):
    """Another job failed, or the run is ending: this one is given up."""


class Postponed(PreflightError):
    """The job failed for now; it can be done again, by any worker.

    `probe` asks for next to nothing whether that is worth trying: it raises
    `Transient` while it is not.
    """

    def __init__(self, cause: Transient, probe: Callable[[], None]) -> None:
        super().__init__(cause.message)
        self.cause, self.probe = cause, probe


class Workers:
    """At most `size` threads; `hurry` is set to end the pauses of those that fail.

    `retry` says how long a worker pauses whose job was postponed, and when to give up.
    """

    def __init__(
        self, size: int, hurry: threading.Event, retry: Retry | None = None
    ) -> None:
        self.size = size
        self._hurry = hurry
        self._retry = retry or Retry(clock=SystemClock(hurry))
        self._stop = threading.Event()

    @property
    def stopping(self) -> bool:
        """Whether jobs should give up."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise `Stopped` when the run is ending."""
        if self._stop.is_set():
            raise Stopped(say("the transfer is ending"))

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the run's end; raises `Stopped` then."""
        if self._stop.wait(seconds):
            raise Stopped(say("the transfer is ending"))

    def run(self, jobs: Iterable[Job]) -> None:
        """Do all jobs, the first ones first; raises the first error of any.

        When it returns or raises, no job runs any more, except after Ctrl-C: then
        one may still hang in the network, in a thread that ends with the process.
        """
        todo = deque(jobs)
        shift = _Shift(todo, self._stop, self._retry)
        threads = [
            threading.Thread(target=shift.work, name=f"upload-{number}", daemon=True)
            for number in range(min(self.size, len(todo)))
        ]
        try:
            with self._working():
                started = _started(threads)
                if not started:
                    shift.work()
                shift.await_end(max(1, started))
        except BaseException as exc:
            self._end(threads, exc)
            raise

    def _working(self) -> AbstractContextManager[None]:
        """Patience begins when the first job does, and pauses are part of the work."""
        patience = self._retry.patience
        return nullcontext() if patience is None else patience.working()

    def _end(self, threads: list[threading.Thread], cause: BaseException) -> None:
        # `hurry` ends the pauses between attempts, `stop` ends what reads and sends.
        hasty = isinstance(cause, (KeyboardInterrupt, Interrupted))
        deadline = time.monotonic() + (_PATIENCE_INTERRUPTED if hasty else _PATIENCE)
        self._stop.set()
        self._hurry.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        if not hasty:
            self._hurry.clear()


def _started(threads: Iterable[threading.Thread]) -> int:
    """Start as many as this machine allows, of a limited number of tasks; how many."""
    count = 0
    for thread in threads:
        try:
            thread.start()
        except RuntimeError:  # "can't start new thread"
            break
        count += 1
    return count


class _Failed:
    """The failures of one worker in a row."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._number, self._waited = 0, 0.0

    def wait(self, cause: Transient) -> None:
        """Pause after one more; raises it to give up."""
        self._number += 1
        self._waited += self._retry.wait(self._number, self._waited, cause)


class _Shift:
    """One run over a queue: what its threads share."""

    def __init__(self, todo: deque[Job], stop: threading.Event, retry: Retry) -> None:
        self._todo, self._stop, self._retry = todo, stop, retry
        self._ended = threading.Semaphore(0)
        self._errors: list[BaseException] = []

    def work(self) -> None:
        """What each thread does until the queue is empty or something went wrong."""
        try:
            # Page-aligned memory: the kernel fills it in half the time of a bytearray.
            buffer = memoryview(mmap(-1, BLOCK))
            failed = _Failed(self._retry)
            while self._todo and not self._stop.is_set():
                try:  # another thread may have taken the last one since
                    job = self._todo.popleft()
                except IndexError:
                    break
                try:
                    job(buffer)
                except Postponed as exc:
                    self._todo.append(job)
                    self._outlast(exc, failed)
                else:
                    failed = _Failed(self._retry)
        except Stopped:
            pass
        except BaseException as exc:  # noqa: BLE001 - raised by await_end
            self._errors.append(exc)
        finally:
            self._ended.release()

    def _outlast(self, postponed: Postponed, failed: _Failed) -> None:
        """Wait until there is an answer again; raises the cause to give up.

        A part is worth a thousand questions: bytes are sent again only to a service
        that answers.
        """
        cause = postponed.cause
        while not self._stop.is_set():
            failed.wait(cause)
            if self._stop.is_set():
                return
            try:
                postponed.probe()
            except Transient as exc:
                cause = exc
            else:
                return

    def await_end(self, count: int) -> None:
        """Wait until `count` threads ended; raises the first error at once."""
        for _ in range(count):
            self._ended.acquire()
            if self._errors:
                raise self._errors[0]
