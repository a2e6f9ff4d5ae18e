"""The import itself: submit once, wait to the end, say why it failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from preflight.clock import Clock, SystemClock
from preflight.errors import ImportFailed
from preflight.language import say
from preflight.observer import Observer
from preflight.pipeline.options import Waiting
from preflight.pipeline.outage import teller
from preflight.progress import human_time
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest
from preflight.studio.submit import Contents, How, submit
from preflight.studio.wait import (
    LISTED_WITHIN,
    require_success,
    shortest_pause,
    wait,
)

HEARTBEAT = 60.0  # seconds; a job that stays in one state is told of so often

Diagnose = Callable[[ImportJob], list[str]]


@dataclass(frozen=True, slots=True)
class Imported:
    """The job as it was last seen; `how` tells whether it was made or found.

    `causes`: why it likely failed.
    """

    job: ImportJob
    how: How
    causes: tuple[str, ...] = ()


def submitted(
    request: ImportRequest,
    contents: Contents,
    api: ImportApi,
    observer: Observer,
    *,
    again: bool = False,
    patience: float = 0.0,
) -> Imported:
    """Create the job or find the one there is; raises what `submit` raises.

    `patience`: how many seconds a service is waited for that turns requests away.
    """
    with observer.stage("submit"):
        made = submit(
            api,
            request,
            clock=SystemClock(),
            again=again,
            contents=contents,
            patience=patience,
            on_retry=teller(observer),
        )
    seen = Imported(made.job, made.how)
    observer.reached(seen)
    if made.how is not How.ALREADY_DONE:  # there is nothing to follow
        observer.say(
            say(
                "job {job_id} {how}: {state}",
                job_id=made.job.job_id,
                how=made.how.told,
                state=made.job.told,
            )
        )
    return seen


def finished(
    seen: Imported, waiting: Waiting | None, api: ImportApi, observer: Observer
) -> Imported:
    """The job at its end, or as it is where nobody wants to wait.

    Raises `StillRunning` at the limit and what the API raises.
    """
    # An import that was done already needs no second look.
    if waiting is None or seen.job.finished:
        return seen
    return watched(seen.job.job_id, waiting, api, observer, seen=seen)


def watched(
    job_id: str,
    waiting: Waiting,
    api: ImportApi,
    observer: Observer,
    *,
    seen: Imported | None = None,
) -> Imported:
    """Look until the job is final; each state is told."""
    clock: Clock = SystemClock()
    began = clock.now()
    how = seen.how if seen else How.JOINED
    known = seen.job.status if seen else None  # it was told a moment ago

    def look(job: ImportJob) -> None:
        nonlocal known
        observer.reached(Imported(job, how))
        if job.status != known:
            since = human_time(clock.now() - began)
            observer.say(
                say(
                    "job {job_id}: {state} after {time}",
                    job_id=job.job_id,
                    state=job.told,
                    time=since,
                )
            )
        # It guards the first look alone: whatever is reported later is news, or tells
        # that the wait goes on.
        known = None

    with observer.stage("wait"):
        job = wait(
            # One attempt a look: it is the wait that is patient with the network.
            lambda: api.get(job_id, attempts=1),
            limit=waiting.timeout,
            clock=clock,
            interval=waiting.interval,
            on_state=look,
            job_id=job_id,
            heartbeat=HEARTBEAT,
            # A job just made may not be found for a moment; an id that was typed is
            # wrong.
            listed_within=LISTED_WITHIN if seen else 0.0,
            shortest=shortest_pause(api),
        )
    return Imported(job, how)


def concluded(seen: Imported, observer: Observer, diagnose: Diagnose) -> Imported:
    """The job, unless it failed.

    Raises `ImportFailed` then; the likely causes are told to the observer before.
    """
    if seen.job.finished:
        try:
            require_success(seen.job)
        except ImportFailed:
            # The observer hears of the causes before the error is raised: so the record
            # has them, whoever catches it.
            causes = tuple(diagnose(seen.job))
            observer.reached(replace(seen, causes=causes))
            raise
    return seen
