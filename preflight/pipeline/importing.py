"""The import itself: submit once, wait to the end, keep the record up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from preflight.clock import Clock, SystemClock
from preflight.errors import ImportFailed
from preflight.progress import human_time
from preflight.record import JobRecord, RunRecord
from preflight.screen import Screen
from preflight.settings import Settings
from preflight.studio.client import StudioClient
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest
from preflight.studio.submit import Contents, How, submit
from preflight.studio.wait import require_success, wait

HEARTBEAT = 60.0  # seconds; a job that stays in one state is told of so often

Diagnose = Callable[[ImportJob], list[str]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long to wait for a job, and how often to look, both in seconds."""

    timeout: float
    interval: float | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """What to import and how; `waiting` None submits and returns."""

    request: ImportRequest
    contents: Contents
    waiting: Waiting | None
    again: bool = False


def studio_client(settings: Settings) -> StudioClient:
    """A client for Model Studio with the settings' key and address."""
    return StudioClient(settings.base_url.value, settings.api_key.value)


def submit_once(
    wanted: Import, api: ImportApi, record: RunRecord, screen: Screen
) -> ImportJob:
    """Create the job or find the one there is; raises what `submit` raises."""
    with record.timed("submit"):
        submission = submit(
            api,
            wanted.request,
            clock=SystemClock(),
            again=wanted.again,
            contents=wanted.contents,
        )
    job, how = submission.job, submission.how
    record.job = job_record(job, how)
    screen.say(f"job {job.job_id} {how.value}: {job.status}")
    return job


def run_import(
    wanted: Import,
    api: ImportApi,
    record: RunRecord,
    screen: Screen,
    diagnose: Diagnose | None = None,
) -> None:
    """Submit once and wait; only a job that succeeded ends without an exception.

    Raises `ImportFailed`, `StillRunning`, and what the API raises.
    """
    job = submit_once(wanted, api, record, screen)
    if wanted.waiting is not None:
        finish(job, wanted.waiting, api, record, screen, diagnose)
    elif job.finished:
        conclude(job, record, diagnose)


def finish(
    job: ImportJob,
    waiting: Waiting,
    api: ImportApi,
    record: RunRecord,
    screen: Screen,
    diagnose: Diagnose | None = None,
) -> None:
    """Wait for the job's end and judge it; raises as `run_import` does."""
    if not job.finished:
        with record.timed("wait"):
            job = watch(job.job_id, waiting, api, record, screen)
    conclude(job, record, diagnose)


def watch(
    job_id: str,
    waiting: Waiting,
    api: ImportApi,
    record: RunRecord,
    screen: Screen,
) -> ImportJob:
    """Look until the job is final; each state is told and kept in the record."""
    clock: Clock = SystemClock()
    began = clock.now()
    known = record.job
    how = known.how if known else How.JOINED.value

    def seen(job: ImportJob) -> None:
        nonlocal known
        told, known = known, None  # the state that was told a moment ago
        record.job = job_record(job, how)
        if told is None or told.status != job.status:
            screen.say(f"job {job.job_id}: {job.status} after {_since(clock, began)}")

    return wait(
        lambda: api.get(job_id, attempts=1),
        limit=waiting.timeout,
        clock=clock,
        interval=waiting.interval,
        on_state=seen,
        job_id=job_id,
        heartbeat=HEARTBEAT,
    )


def conclude(
    job: ImportJob, record: RunRecord, diagnose: Diagnose | None = None
) -> None:
    """Raise `ImportFailed` unless the job succeeded, likely causes in the record."""
    try:
        require_success(job)
    except ImportFailed:
        if diagnose is not None:
            record.causes += diagnose(job)
        raise


def job_record(job: ImportJob, how: How | str) -> JobRecord:
    """The job as the run's record keeps it."""
    return JobRecord(
        job.job_id,
        job.status,
        job.model_name,
        job.display_name,
        job.error_code,
        job.request_id,
        how.value if isinstance(how, How) else how,
    )


def _since(clock: Clock, began: float) -> str:
    return human_time(clock.now() - began)
