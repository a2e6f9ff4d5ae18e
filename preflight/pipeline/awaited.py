"""The jobs of a sweep, waited for together: one loop of looks over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from preflight.clock import SystemClock
from preflight.language import say
from preflight.observer import Observer
from preflight.pipeline.imported import Imported, concluded
from preflight.pipeline.push import reasons
from preflight.pipeline.services import connected, studio_client
from preflight.pipeline.sweep import Leg, going, its_own
from preflight.progress import human_time
from preflight.settings import Settings
from preflight.studio.imports import ImportApi, ImportJob
from preflight.studio.wait_all import End, ends

_HEARTBEAT = 60.0  # seconds


def wait_for_all(legs: Sequence[Leg], settings: Settings, observer: Observer) -> None:
    """Wait for the jobs of all legs that are not over.

    `observer` is told how many are left. What keeps all jobs from being asked for ends
    all legs.
    """
    waiting = _by_job(going(legs))
    options = next((leg.options for group in waiting.values() for leg in group), None)
    if options is None or options.waiting is None:
        return
    jobs = [job for group in waiting.values() if (job := group[0].job) is not None]
    try:
        with _waited(waiting) as stages, studio_client(settings, observer) as client:
            for job_id, end in ends(
                ImportApi(client),
                jobs,
                limit=options.waiting.timeout,
                clock=_Telling(observer, waiting),
                interval=options.waiting.interval,
                on_look=lambda job: _see(waiting[job.job_id], job),
            ):
                # With its own job, not with the last of all: its time is its own.
                stages[job_id].close()
                for leg in waiting[job_id]:
                    with its_own(leg):
                        _conclude(leg, end, settings)
                        leg.end()
    except Exception as error:  # noqa: BLE001 - told as what ended each of them
        for group in waiting.values():
            for leg in going(group):
                leg.end(error)


def _by_job(legs: Sequence[Leg]) -> dict[str, list[Leg]]:
    """The legs of each job; more than one where directories hold the same model."""
    waiting: dict[str, list[Leg]] = {}
    for leg in legs:
        if leg.job is not None:
            waiting.setdefault(leg.job.job_id, []).append(leg)
    return waiting


@contextmanager
def _waited(waiting: Mapping[str, Sequence[Leg]]) -> Iterator[dict[str, ExitStack]]:
    """All legs are in the stage `wait` until the stack of their job is closed."""
    with ExitStack() as all_of_them:
        stages = {job: all_of_them.enter_context(ExitStack()) for job in waiting}
        for job, legs in waiting.items():
            for leg in legs:
                stages[job].enter_context(leg.follower.stage("wait"))
        yield stages


def _see(legs: Sequence[Leg], job: ImportJob) -> None:
    """A job as a look found it."""
    for leg in legs:
        pushed = leg.pushed
        if pushed is None or pushed.imported is None:
            continue
        # A record is written for each state, not for each of many looks.
        is_new = job.status != pushed.imported.job.status
        seen = Imported(job, pushed.imported.how)
        leg.pushed = replace(pushed, imported=seen)
        if is_new:
            leg.follower.reached(seen)


def _conclude(leg: Leg, end: End, settings: Settings) -> None:
    """Raise what ended it, with the likely causes where its job failed."""
    if not isinstance(end, ImportJob):
        raise end
    pushed = leg.pushed
    if pushed is None or pushed.imported is None or not end.failed:
        return
    destination = pushed.planned.plan.destination
    # A connection of its own: that of the upload was closed when it ended.
    with connected(settings, destination, observer=leg.follower) as services:
        concluded(pushed.imported, leg.follower, reasons(pushed, services))


class _Telling(SystemClock):
    """A clock that tells now and then how many jobs are still waited for."""

    def __init__(
        self, observer: Observer, waiting: Mapping[str, Sequence[Leg]]
    ) -> None:
        super().__init__()
        self._observer, self._waiting = observer, waiting
        self._began = self._told = self.now()

    def sleep(self, seconds: float) -> None:
        """Tell, and let time pass."""
        if self.now() - self._told >= _HEARTBEAT:
            self._told = self.now()
            left = sum(bool(going(legs)) for legs in self._waiting.values())
            told = say(
                "{count} of {total} jobs go on after {time}",
                count=left,
                total=len(self._waiting),
                time=human_time(self.now() - self._began),
            )
            self._observer.say(told)
        super().sleep(seconds)
