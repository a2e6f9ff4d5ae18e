"""Wait for a job's end: patient with the network, strict with the result."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from preflight.catalog.explanations import Service, explain_code
from preflight.clock import Clock
from preflight.errors import ImportFailed, ServiceUnavailable, StillRunning
from preflight.language import glued, say
from preflight.retry import Patience, Retry
from preflight.studio.imports import ImportApi, ImportJob
from preflight.studio.models import NotFound

LISTED_WITHIN = 60.0  # seconds in which a job that was just made is found everywhere
SHORTEST, LONGEST = 3.0, 30.0  # seconds between two looks
_OF_A_SANDBOX = 0.2  # seconds; its jobs take no time


def wait(
    get: Callable[[], ImportJob],
    *,
    limit: float,
    clock: Clock,
    interval: float | None = None,
    on_state: Callable[[ImportJob], None] | None = None,
    job_id: str = "",
    heartbeat: float = inf,
    listed_within: float = 0.0,
    shortest: float = SHORTEST,
) -> ImportJob:
    """Look until the job is final, at most `limit` seconds; a failed job is returned.

    Looks come every `interval` seconds, or ever more rarely, `shortest` (3) to 30
    seconds apart.
    `on_state` is told of each new status, and of the same one again after `heartbeat`
    seconds; `job_id` serves the message of a job that was never seen. A look that
    fails with `ServiceUnavailable` is followed by the next one; so is one that finds
    no job, for `listed_within` seconds, as one that was just made may not be known
    everywhere yet. Raises `StillRunning` at the limit, and what else `get` raises at
    once.
    """
    looks = looks_within(limit, clock, interval, shortest)
    get = _patient_at_first(get, min(listed_within, limit), clock)
    seen: ImportJob | None = None
    told = clock.now()
    number = 0
    while True:
        try:
            job = looks.call(get)
        except ServiceUnavailable as error:
            raise still_running(seen, job_id, limit, error) from error
        is_new = seen is None or seen.status != job.status
        if on_state and (is_new or clock.now() - told >= heartbeat):
            told = clock.now()
            on_state(job)
        seen = job
        if job.finished:
            return job
        number += 1
        pause = looks.pause(number, 0.0)
        if pause is None:
            raise still_running(seen, job_id, limit, None)
        clock.sleep(pause)


def _patient_at_first(
    get: Callable[[], ImportJob], seconds: float, clock: Clock
) -> Callable[[], ImportJob]:
    """`get`, asked again while it finds no job; once it was seen, it must stay."""
    if seconds <= 0:
        return get
    patience = Patience(seconds, clock)
    again = Retry(attempts=None, base=1.0, patience=patience, on=NotFound, clock=clock)
    was_seen = False

    def look() -> ImportJob:
        nonlocal was_seen
        job = get() if was_seen else again.call(get)
        was_seen = True
        return job

    return look


def shortest_pause(api: ImportApi) -> float:
    """Seconds between the first looks at a job of this service."""
    return _OF_A_SANDBOX if api.is_on_this_machine else SHORTEST


def looks_within(
    limit: float, clock: Clock, interval: float | None, shortest: float = SHORTEST
) -> Retry:
    """When to look again, at a job that still runs and after a look that failed."""
    return Retry(
        attempts=None,
        base=shortest if interval is None else interval,
        cap=LONGEST if interval is None else interval,
        least=shortest if interval is None else interval,
        patience=Patience(limit, clock),
        on=ServiceUnavailable,
        clock=clock,
    )


def still_running(
    seen: ImportJob | None,
    job_id: str,
    limit: float,
    trouble: ServiceUnavailable | None,
) -> StillRunning:
    """The error of a job that was last `seen` so, when the limit ran out."""
    name = seen.job_id if seen else job_id or "JOB"
    message = say(
        "job {name} has shown no status after {limit:.0f} s", name=name, limit=limit
    )
    if seen:
        message = say(
            "job {name} is {status} after {limit:.0f} s",
            name=name,
            status=seen.told,
            limit=limit,
        )
    if trouble:
        message = say(
            "{message}; the last look failed: {trouble}",
            message=message,
            trouble=trouble,
        )
    request_id = seen.request_id if seen else ""
    return StillRunning(message, hint=f"preflight wait {name}", request_id=request_id)


def require_success(job: ImportJob) -> ImportJob:
    """The job itself when it succeeded.

    Raises `ImportFailed` with what the error code means, and what to do about it.
    """
    if job.succeeded:
        return job
    told = job.error_code or say("no reason given")
    found = explain_code(Service.JOB, job.error_code)
    message = say(
        "job {job_id} is {status}: {told}",
        job_id=job.job_id,
        status=job.told or say("of unknown status"),
        told=told,
    )
    if job.word == "failed":
        message = say("job {job_id} failed: {told}", job_id=job.job_id, told=told)
    if found:
        message = glued(message, " (", found.cause, ")")
    raise ImportFailed(
        message,
        hint=found.remedy
        if found
        else say("look at the job in the Model Studio console"),
        request_id=job.request_id,
    )
