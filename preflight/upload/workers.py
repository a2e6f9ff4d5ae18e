"""Threads that do jobs from one queue; the first error, or Ctrl-C, stops them all.

A job that is `Postponed` is no error: it goes back to the queue, for whoever is free.
How many threads there are may change while they work: one more than is wanted ends
after its job, and where there are too few, others are started.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from mmap import mmap

from preflight.clock import SystemClock
from preflight.errors import Interrupted, PreflightError
from preflight.language import say
from preflight.oss.body import BLOCK
from preflight.oss.errors import OutOfDescriptors
from preflight.retry import Retry, Transient
from preflight.upload.concurrency import MAX_WORKERS, Concurrency, Fixed

Job = Callable[[memoryview], None]
"""Work for one thread, given that thread's buffer of `BLOCK` bytes."""

# Seconds that threads have to notice that it is over. After Ctrl-C nobody waits for a
# connection that hangs; otherwise a part on its way must not land after the abort.
_PATIENCE, _PATIENCE_INTERRUPTED = 15.0, 0.7
# Seconds between two looks at how fast it goes. A measure ends with a look: with
# longer ones the first number is judged after a second instead of three quarters.
_LOOKS = 0.1
# Many workers are slow ones, and need no large blocks: all of them together take 8 MiB.
# Of few that are fast each block costs: eighths take a fifth of the CPU more.
_BLOCKS = ((8, BLOCK), (16, BLOCK // 2), (MAX_WORKERS, BLOCK // 8))


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
    """As many threads as `size` says; `hurry` ends the pauses of those that fail.

    `retry` says how long a worker pauses whose job was postponed, and when to give up.
    `moved` tells how many bytes went out so far, for a `size` that is found by them.
    """

    def __init__(
        self,
        size: Concurrency | int,
        hurry: threading.Event,
        retry: Retry | None = None,
        *,
        moved: Callable[[], int] = lambda: 0,
    ) -> None:
        self.size = Fixed(size) if isinstance(size, int) else size
        self._moved = moved
        self._hurry = hurry
        self._retry = retry or Retry(clock=SystemClock(hurry))
        self._stop = threading.Event()
        self._todo: deque[Job] = deque()

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
        self._todo = todo = deque(jobs)
        shift = _Shift(todo, self._stop, self._retry, self.size)
        self.size.begin(self._moved())
        try:
            with self._working():
                shift.fill_up()
                if not shift.threads:
                    shift.work()
                while not shift.await_end(_LOOKS):
                    # Of the last jobs nothing can be learned: some have none to do.
                    if todo:
                        self.size.look(self._moved())
                        shift.fill_up()
        except BaseException as exc:
            self._end(shift.threads, exc)
            raise

    def put_first(self, jobs: Sequence[Job]) -> None:
        """Do these next: what a job finds out that there is to do."""
        self._todo.extendleft(reversed(jobs))

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


def _block(workers: int) -> int:
    """Bytes that each of so many workers reads and sends at once."""
    return next((size for most, size in _BLOCKS if workers <= most), _BLOCKS[-1][1])


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

    def __init__(
        self,
        todo: deque[Job],
        stop: threading.Event,
        retry: Retry,
        size: Concurrency,
    ) -> None:
        self._todo, self._stop, self._retry, self._size = todo, stop, retry, size
        self.threads: list[threading.Thread] = []
        self._ended = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._at_work = 0  # started and not leaving
        self._running = 0  # started, and their end is not known yet
        self._no_more = False  # this machine allows no more threads
        self._errors: list[BaseException] = []

    def fill_up(self) -> None:
        """Start threads until there are as many at work as wanted, or as can be."""
        with self._lock:
            missing = self._size.now - self._at_work
        for _ in range(min(missing, len(self._todo))):
            if self._no_more or not self._start():
                self._no_more = True
                break

    def _start(self) -> bool:
        number = len(self.threads)
        thread = threading.Thread(
            target=self.work, name=f"upload-{number}", args=(number,), daemon=True
        )
        with self._lock:
            self._at_work += 1
        try:
            thread.start()
        except RuntimeError:  # "can't start new thread", of a limited number of tasks
            with self._lock:
                self._at_work -= 1
            return False
        self.threads.append(thread)
        self._running += 1
        return True

    def work(self, number: int | None = None) -> None:
        """What each thread does until the queue is empty or something went wrong.

        Without a number the caller's own thread does it all.
        """
        leaving = number is None
        try:
            # Page-aligned memory: the kernel fills it in half the time of a bytearray.
            buffer = memoryview(mmap(-1, _block(self._size.now)))
            failed = _Failed(self._retry)
            while self._todo and not self._stop.is_set():
                if number is not None and (leaving := self._leaves()):
                    break
                try:  # another thread may have taken the last one since
                    job = self._todo.popleft()
                except IndexError:
                    break
                try:
                    failed = self._do(job, buffer, failed)
                except OutOfDescriptors:
                    self._todo.appendleft(job)
                    if not (leaving := self._gives_way()):
                        raise
                    break
        except Stopped:
            pass
        except BaseException as exc:  # noqa: BLE001 - raised by await_end
            self._errors.append(exc)
        finally:
            if not leaving:
                with self._lock:
                    self._at_work -= 1
            self._ended.release()

    def _do(self, job: Job, buffer: memoryview, failed: _Failed) -> _Failed:
        """One job; the failures in a row then."""
        try:
            job(buffer)
        except Postponed as exc:
            self._todo.append(job)
            self._size.refused()
            self._outlast(exc, failed)
            return failed
        return _Failed(self._retry)

    def _leaves(self) -> bool:
        """Whether this thread is one too many; it does not count from then on."""
        with self._lock:
            if self._at_work <= max(1, self._size.now):
                return False
            self._at_work -= 1
            return True

    def _gives_way(self) -> bool:
        """Whether this thread can end, as others go on with what may be open."""
        with self._lock:
            if self._at_work <= 1:
                return False
            self._at_work -= 1
            self._no_more = True
            return True

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

    def await_end(self, within: float) -> bool:
        """Whether all threads ended within so many seconds; raises the first error."""
        deadline = time.monotonic() + within
        while not self._errors:
            if not self._running:
                return True
            if not self._ended.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return False
            self._running -= 1
        raise self._errors[0]
