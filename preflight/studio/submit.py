"""Submit an import exactly once: the service's own list of jobs is the journal.

Create has no idempotency key. So the list is read before it, and again after each
answer that was lost: a job of the same bucket and prefix that was not there before
is the one that was asked for. No clock of this machine takes part in that.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from preflight.errors import AmbiguousAnswer, ServiceUnavailable
from preflight.studio.answers import Transient
from preflight.studio.client import MAX_RETRY_AFTER
from preflight.studio.clock import Clock
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest

_log = logging.getLogger(__name__)

ATTEMPTS = 3  # of Create
# Seconds before each look after a lost answer: a job may take a moment to be listed.
_LOOKS = (2.0, 5.0, 10.0)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class How(str, Enum):
    """How the job was come by."""

    CREATED = "created"
    JOINED = "joined"
    FOUND_AFTER_LOST_ANSWER = "found after a lost answer"
    ALREADY_DONE = "already done"


@dataclass(frozen=True, slots=True)
class Submission:
    """The one job of a request; `attempts` counts the Create calls that were sent."""

    job: ImportJob
    how: How
    attempts: int = 0


def submit(
    api: ImportApi, request: ImportRequest, *, clock: Clock, again: bool = False
) -> Submission:
    """Create the job of `request`, unless there is one already.

    A pending or running job of the same base model, bucket and prefix is joined; so
    is one in a state unknown here. A succeeded one is `ALREADY_DONE`: the caller
    knows whether the files are still the same. `again` passes over both the succeeded
    and the unknown. Raises `AmbiguousAnswer` when it cannot be known whether a job
    was made: the same call later finds out.
    """
    before = _jobs_at(api, request)
    if found := _choose([j for j in before if _same_base(j, request)], again=again):
        return found
    return _create(api, request, clock, known={job.job_id for job in before})


def _choose(jobs: Sequence[ImportJob], *, again: bool) -> Submission | None:
    newest_first = sorted(jobs, key=lambda job: job.created or _LONG_AGO, reverse=True)
    unfinished = (j for j in newest_first if j.live or not (j.finished or again))
    if job := next(unfinished, None):
        return Submission(job, How.JOINED)
    if again:
        return None
    job = next((j for j in newest_first if j.succeeded), None)
    return Submission(job, How.ALREADY_DONE) if job else None


def _create(
    api: ImportApi, request: ImportRequest, clock: Clock, *, known: set[str]
) -> Submission:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return Submission(api.create(request), How.CREATED, attempt)
        except (AmbiguousAnswer, Transient) as error:
            _log.warning("%s", error)
            lost = error
        if job := _look(api, request, clock, lost, known=known):
            return Submission(job, How.FOUND_AFTER_LOST_ANSWER, attempt)
        if _asks_for_more(lost):
            break
    raise lost


def _look(
    api: ImportApi,
    request: ImportRequest,
    clock: Clock,
    lost: ServiceUnavailable,
    *,
    known: set[str],
) -> ImportJob | None:
    """The job that the lost request made, if it made one."""
    least = lost.retry_after if isinstance(lost, Transient) else 0.0
    for pause in _LOOKS if isinstance(lost, AmbiguousAnswer) else _LOOKS[:1]:
        clock.sleep(max(pause, min(least, MAX_RETRY_AFTER)))
        try:
            jobs = _jobs_at(api, request)
        except ServiceUnavailable as error:
            raise AmbiguousAnswer(
                f"{lost.message}; whether there is a job cannot be known now: {error}",
                hint="run the same command again: it looks before it submits",
                request_id=lost.request_id,
            ) from error
        if new := [job for job in jobs if job.job_id not in known]:
            return max(new, key=lambda job: job.created or _LONG_AGO)
    return None


def _asks_for_more(error: ServiceUnavailable) -> bool:
    return isinstance(error, Transient) and error.retry_after > MAX_RETRY_AFTER


def _jobs_at(api: ImportApi, request: ImportRequest) -> list[ImportJob]:
    place = (request.bucket, request.prefix)
    return [job for job in api.list_all() if job.is_from(*place)]


def _same_base(job: ImportJob, request: ImportRequest) -> bool:
    """Whether the system-generated name is that of the base: name, then a suffix."""
    name, base = job.model_name.lower(), request.model_name.lower()
    return not name or name == base or name.startswith(f"{base}-")
