"""Submit an import exactly once: the service's own list of jobs is the journal.

Create has no idempotency key. So the list is read before it, and again after each
answer that was lost: a job of the same bucket and prefix that was not there before
is the one that was asked for. No clock takes part in that.

Two runs that pass the first look at the same moment, on two machines, can still
create two jobs: the API offers nothing to prevent it. Both import the same files, and
`preflight jobs` shows both.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from itertools import count

from preflight.catalog.base_models import load_bases
from preflight.clock import Clock, ServiceClocks
from preflight.errors import AmbiguousAnswer, ServiceUnavailable
from preflight.language import say
from preflight.retry import Patience, Retry, RetryEvent, log_retry
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest
from preflight.studio.models import StudioUnavailable

_log = logging.getLogger(__name__)

ATTEMPTS = 3  # of Create; more only while requests are turned away at the door
# Seconds before each look after a lost answer: a job may take a moment to be listed.
_LOOKS: tuple[float, ...] = (2.0, 5.0, 10.0)
_ONE_LOOK: tuple[float, ...] = (0.0,)
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class How(str, Enum):
    """How the job was come by."""

    CREATED = "created"
    JOINED = "joined"
    FOUND_AFTER_LOST_ANSWER = "found after a lost answer"
    ALREADY_DONE = "already done"

    @property
    def told(self) -> str:
        """It for people."""
        return _HOW[self]


_HOW = {
    How.CREATED: say("created"),
    How.JOINED: say("joined"),
    How.FOUND_AFTER_LOST_ANSWER: say("found after a lost answer"),
    How.ALREADY_DONE: say("already done"),
}


@dataclass(frozen=True, slots=True)
class Submission:
    """The one job of a request; `attempts` counts the Create calls that were sent."""

    job: ImportJob
    how: How
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """What is known of the files under the prefix, so that old jobs can be told.

    `changed_at`: when the newest object was written, by the clock of OSS, which is
    `oss_ahead` seconds ahead of this machine's if that is known. `voided`: ids of jobs
    that were there before this run itself changed an object.
    """

    changed_at: datetime | None = None
    voided: frozenset[str] = field(default_factory=frozenset)
    oss_ahead: float | None = None

    def outdate(self, job: ImportJob, studio_ahead: float | None = None) -> bool:
        """Whether a job that succeeded imported other bytes than lie there now.

        `studio_ahead`: seconds that the clock of Model Studio is ahead of ours.
        """
        if job.job_id in self.voided:
            return True
        if self.changed_at is None or job.created is None:
            return False
        clocks = ServiceClocks(self.oss_ahead, studio_ahead)
        return clocks.is_written_after(self.changed_at, job.created)


def submit(
    api: ImportApi,
    request: ImportRequest,
    *,
    clock: Clock,
    again: bool = False,
    contents: Contents | None = None,
    patience: float = 0.0,
    on_retry: Callable[[RetryEvent], None] = log_retry,
) -> Submission:
    """Create the job of `request`, unless there is one already.

    A pending or running job of the same base model, bucket and prefix is joined,
    unless `contents` voids it; so is one in a state unknown here, as long as it may go
    on. A succeeded one is `ALREADY_DONE` unless `contents` outdate it. `again` passes
    over both the succeeded and the unknown. A service that turns requests away, as its
    limits of rate do, is asked again for `patience` seconds, and `on_retry` hears of
    it. Raises `AmbiguousAnswer` when it cannot be known whether a job was made: the
    same call later finds out.
    """
    there = contents or Contents()
    before = _jobs_at(api, request)
    known = load_bases()
    same = [job for job in before if job.is_of(request.model_name, known)]
    if found := _choose(same, there, api, again=again):
        return found
    door = Retry(
        attempts=ATTEMPTS,
        base=_LOOKS[0],
        least=_LOOKS[0],
        patience=Patience(patience, clock) if patience else None,
        clock=clock,
        on_retry=on_retry,
    )
    return _create(api, request, door, known={job.job_id for job in before})


def _choose(
    jobs: Sequence[ImportJob], there: Contents, api: ImportApi, *, again: bool
) -> Submission | None:
    newest_first = sorted(jobs, key=lambda job: job.created or _LONG_AGO, reverse=True)
    valid = [job for job in newest_first if job.job_id not in there.voided]
    now = api.now()
    unfinished = (j for j in valid if j.live or (j.may_go_on(now) and not again))
    if job := next(unfinished, None):
        return Submission(job, How.JOINED)
    if again:
        return None
    ahead = api.clock_ahead
    done = (j for j in valid if j.succeeded and not there.outdate(j, ahead))
    job = next(done, None)
    return Submission(job, How.ALREADY_DONE) if job else None


def _create(
    api: ImportApi, request: ImportRequest, door: Retry, *, known: set[str]
) -> Submission:
    waited = 0.0
    for attempt in count(1):
        try:
            return Submission(api.create(request), How.CREATED, attempt)
        except StudioUnavailable as error:
            # Turned away at the door: no job was made, unless by somebody else.
            waited += door.wait(attempt, waited, error)
            how, pauses = How.JOINED, _ONE_LOOK
            lost: ServiceUnavailable = error
        except AmbiguousAnswer as error:
            _log.warning("%s", error)
            how, pauses = How.FOUND_AFTER_LOST_ANSWER, _LOOKS
            lost = error
        if job := _look(api, request, door.clock, pauses, lost, known=known):
            return Submission(job, how, attempt)
        if attempt >= ATTEMPTS and isinstance(lost, AmbiguousAnswer):
            raise lost
    raise AssertionError("unreachable")


def _look(
    api: ImportApi,
    request: ImportRequest,
    clock: Clock,
    pauses: Sequence[float],
    lost: ServiceUnavailable,
    *,
    known: set[str],
) -> ImportJob | None:
    """The job that is there now and was not before; a look after each pause."""
    for pause in pauses:
        clock.sleep(pause)
        try:
            jobs = _jobs_at(api, request)
        except ServiceUnavailable as error:
            raise AmbiguousAnswer(
                say(
                    "{message}; whether there is a job cannot be known now: {error}",
                    message=lost.message,
                    error=error,
                ),
                hint=say("run the same command again: it looks before it submits"),
                request_id=lost.request_id,
            ) from error
        if new := [job for job in jobs if job.job_id not in known]:
            return max(new, key=lambda job: job.created or _LONG_AGO)
    return None


def _jobs_at(api: ImportApi, request: ImportRequest) -> list[ImportJob]:
    place = (request.bucket, request.prefix)
    return [job for job in api.list_all() if job.is_from(*place)]
