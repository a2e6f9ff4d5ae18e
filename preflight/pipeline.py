"""The stages in their order, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from preflight.destination import Destination
from preflight.errors import ConfigurationError, RulesFailed, UsageError
from preflight.findings import Report, Severity, Unavailable, Verdict, WeightType
from preflight.model.headers import Broken, Container
from preflight.model.inspection import Inspection, Request, inspect
from preflight.model.scan import TensorValues, scan_file
from preflight.oss.access import OssAccess, oss_access
from preflight.oss.bucket import check_bucket
from preflight.oss.client import BucketClient
from preflight.oss.plan import UploadPlan, plan_upload
from preflight.oss.transfer import Manifest, transfer
from preflight.oss.verify import verify
from preflight.progress import Progress
from preflight.record import (
    JobRecord,
    LeftBehind,
    RunRecord,
    UploadedFile,
    UploadRecord,
)
from preflight.rules import SCAN_RULES, STATIC_RULES, run_rules
from preflight.settings import Need, Settings
from preflight.studio.client import StudioClient
from preflight.studio.clock import SystemClock
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest
from preflight.studio.submit import How, Submission, submit
from preflight.studio.wait import require_success, wait


class Screen(Protocol):
    """Where a run tells what it is doing; results do not go this way."""

    def say(self, text: str) -> None:
        """One line about what happens now."""

    def progress(self) -> Progress:
        """A fresh progress bar, or whatever stands for one."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check, against which base, and whether to scan the values."""

    directory: Path
    request: Request
    scan: bool = True


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What to push where; `timeout` and `poll_interval` in seconds."""

    check: CheckOptions
    destination: Destination
    display_name: str = ""
    wait: bool = True
    timeout: float = 3600.0
    poll_interval: float | None = None
    dry_run: bool = False


def check(options: CheckOptions, record: RunRecord, screen: Screen) -> Inspection:
    """Inspect and judge a directory; all findings go into `record.report`.

    Raises `UsageError` when there is no such directory.
    """
    with record.timed("inspect"):
        found = inspect(options.directory, options.request)
    if isinstance(found.weight_type, WeightType):
        record.weight_type = found.weight_type
    if not isinstance(found.base, Unavailable):
        record.base_model = found.base.code
    with record.timed("rules"):
        record.report = Report(run_rules(STATIC_RULES, found, found.weight_type))
    values: tuple[TensorValues, ...] | Unavailable
    values = Unavailable("not scanned, as --no-scan asks")
    if options.scan:
        with record.timed("scan"):
            values = _scan(found, screen)
    found = replace(found, values=values)
    outcomes = run_rules(SCAN_RULES, found, found.weight_type)
    record.report = record.report.joined(outcomes)
    return found


def _scan(found: Inspection, screen: Screen) -> tuple[TensorValues, ...] | Unavailable:
    if isinstance(found.containers, Unavailable):
        return found.containers
    sound: list[Container] = []
    for container in found.containers:
        if isinstance(container, Broken):
            return Unavailable(f"{container.file} is broken")
        sound.append(container)
    values: list[TensorValues] = []
    with screen.progress() as progress:
        progress.start(sum(c.size for c in sound), "scanning")
        for container in sound:
            path = found.directory / container.file
            values += scan_file(path, container, on_bytes=progress.advance)
    return tuple(values)


def push(
    options: PushOptions, settings: Settings, record: RunRecord, screen: Screen
) -> None:
    """Check, upload, submit, wait; `record` tells at any time how far it came.

    Raises `RulesFailed` before a byte moved, and whatever the stages raise.
    """
    if not options.dry_run:
        settings.require(Need.OSS, Need.STUDIO)
    found = check(options.check, record, screen)
    if record.report.verdict is Verdict.FAIL:
        raise RulesFailed(
            "the model would not import as it is",
            hint="mend what is named above and run the same command again",
        )
    request = _import_request(options, found)
    plan = plan_upload(found.walk, options.destination, request.weight_type)
    record.plan = _plan_record(plan)
    if options.dry_run:
        return
    with ExitStack() as stack:
        bucket = stack.enter_context(
            BucketClient(_access(settings), options.destination.bucket)
        )
        with record.timed("bucket"):
            _check_bucket(bucket, settings, record, screen)
        with record.timed("upload"):
            manifest = _upload(plan, bucket, screen)
        record.upload = _upload_record(plan, manifest)
        with record.timed("verify"):
            screen.say(f"verifying {len(manifest.objects)} objects")
            verify(bucket, manifest)
        record.upload = replace(record.upload, verified=True)
        studio = stack.enter_context(studio_client(settings))
        _import(options, request, ImportApi(studio), record, screen)


def _access(settings: Settings) -> OssAccess:
    return oss_access(
        settings.access_key_id.value,
        settings.access_key_secret.value,
        security_token=settings.session_token.value,
        region=settings.region.value,
        endpoint=settings.endpoint.value,
    )


def studio_client(settings: Settings) -> StudioClient:
    """A client for Model Studio with the settings' key and address."""
    return StudioClient(settings.base_url.value, settings.api_key.value)


def _import_request(options: PushOptions, found: Inspection) -> ImportRequest:
    if isinstance(found.base, Unavailable):
        raise UsageError(
            found.base.reason,
            hint="name the base with --base-model; `preflight bases` lists them",
        )
    if isinstance(found.weight_type, Unavailable):
        raise UsageError(found.weight_type.reason)
    return ImportRequest(
        model_name=found.base.code,
        display_name=options.display_name,
        weight_type=found.weight_type,
        bucket=options.destination.bucket,
        prefix=options.destination.prefix,
    )


def _check_bucket(
    bucket: BucketClient, settings: Settings, record: RunRecord, screen: Screen
) -> None:
    issues = check_bucket(bucket, service_region=settings.studio_region)
    for issue in issues:
        if issue.severity is Severity.WARNING:
            record.notes.append(f"warning: {issue.message}")
            screen.say(f"warning: {issue.message}")
    wrong = [issue for issue in issues if issue.severity is Severity.ERROR]
    if wrong:
        raise ConfigurationError(
            "; ".join(issue.message for issue in wrong),
            hint="; ".join(issue.hint for issue in wrong if issue.hint),
        )


def _upload(plan: UploadPlan, bucket: BucketClient, screen: Screen) -> Manifest:
    screen.say(f"uploading {len(plan.items)} files to {plan.destination.url}")
    with screen.progress() as progress:
        progress.start(plan.total_bytes, "uploading")
        return transfer(plan, bucket, on_bytes=progress.advance)


def _import(
    options: PushOptions,
    request: ImportRequest,
    api: ImportApi,
    record: RunRecord,
    screen: Screen,
) -> None:
    with record.timed("submit"):
        submission = submit(api, request, clock=SystemClock())
    job, how = submission.job, submission.how
    record.job = _job_record(job, how)
    screen.say(f"job {job.job_id} {how.value}: {job.status}")
    if options.wait and not job.finished:
        with record.timed("wait"):
            job = _wait(options, submission, api, record, screen)
    if job.finished:
        require_success(job)


def _wait(
    options: PushOptions,
    submission: Submission,
    api: ImportApi,
    record: RunRecord,
    screen: Screen,
) -> ImportJob:
    job_id = submission.job.job_id

    def seen(job: ImportJob) -> None:
        record.job = _job_record(job, submission.how)
        screen.say(f"job {job.job_id}: {job.status}")

    return wait(
        lambda: api.get(job_id, attempts=1),
        limit=options.timeout,
        clock=SystemClock(),
        interval=options.poll_interval,
        on_state=seen,
        job_id=job_id,
    )


def _plan_record(plan: UploadPlan) -> UploadRecord:
    files = tuple(UploadedFile(item.key, item.size, 0) for item in plan.items)
    left = tuple(LeftBehind(e.name, e.size, e.reason) for e in plan.excluded)
    return UploadRecord(plan.destination.url, files, left)


def _upload_record(plan: UploadPlan, manifest: Manifest) -> UploadRecord:
    files = tuple(UploadedFile(o.key, o.size, o.crc64) for o in manifest.objects)
    return replace(_plan_record(plan), files=files)


def _job_record(job: ImportJob, how: How) -> JobRecord:
    return JobRecord(
        job.job_id,
        job.status,
        job.model_name,
        job.display_name,
        job.error_code,
        job.request_id,
        how.value,
    )


def wait_for_job(
    job_id: str,
    settings: Settings,
    record: RunRecord,
    screen: Screen,
    *,
    limits: tuple[float, float | None],
) -> None:
    """Wait for a job of an earlier run; `limits` are time-out and interval in seconds.

    Raises `ImportFailed` when it failed and `StillRunning` when time ran out.
    """
    settings.require(Need.STUDIO)
    timeout, interval = limits

    def seen(job: ImportJob) -> None:
        record.job = _job_record(job, How.JOINED)
        screen.say(f"job {job.job_id}: {job.status}")

    with studio_client(settings) as client, record.timed("wait"):
        api = ImportApi(client)
        job = wait(
            lambda: api.get(job_id, attempts=1),
            limit=timeout,
            clock=SystemClock(),
            interval=interval,
            on_state=seen,
            job_id=job_id,
        )
    require_success(job)
