"""The import jobs that the service knows: list, look at, wait for, delete."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from preflight.arguments import Namespace
from preflight.catalog.explanations import Service, explain_code
from preflight.commands.given import read_settings
from preflight.destination import parse_destination
from preflight.errors import PreflightError, UsageError
from preflight.oss.inspector import BucketInspector
from preflight.pipeline import bucket_access
from preflight.pipeline.diagnosis import Evidence, diagnose
from preflight.pipeline.importing import Waiting, conclude, studio_client, watch
from preflight.record import RunRecord
from preflight.report.manual import table
from preflight.settings import Need, Settings
from preflight.studio.imports import ImportApi, ImportJob
from preflight.terminal import Terminal

_SCHEMA = 1
# The service spells its success so; one page of its documentation does not.
_STATUSES = {"SUCCEEDED": "SUCCESSED"}


def _settings(args: Namespace, screen: Terminal) -> Settings:
    settings = read_settings(args, screen, needs=(Need.STUDIO,))
    settings.require(Need.STUDIO)
    return settings


def cmd_wait(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Wait for a job that an earlier run submitted."""
    settings = _settings(args, screen)
    record.service = settings.base_url.value
    waiting = Waiting(args.timeout, args.poll_interval)
    with studio_client(settings) as client, record.timed("wait"):
        job = watch(args.job_id, waiting, ImportApi(client), record, screen)
    conclude(job, record, partial(_why, settings))


def _why(settings: Settings, job: ImportJob) -> list[str]:
    """What lies in the bucket, if the keys of OSS are there to look with."""
    try:
        settings.require(Need.OSS)
        place = parse_destination(f"oss://{job.bucket}/{job.prefix}")
        with BucketInspector(bucket_access(settings), place.bucket) as inspector:
            region = settings.studio_region
            return diagnose(job, Evidence(place), inspector, service_region=region)
    except PreflightError as error:
        return [f"the files could not be looked at: {error.message}"]


def cmd_jobs(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Show one job, or all of them newest first."""
    del record
    with studio_client(_settings(args, screen)) as client:
        api = ImportApi(client)
        if args.job_id:
            jobs = [api.get(args.job_id)]
        else:
            jobs = list(islice(_listed(api, args), args.limit or None))
    if args.format == "json":
        document = {"schema": _SCHEMA, "jobs": [_as_json(job) for job in jobs]}
        screen.show_document(document)
    elif args.job_id:
        screen.show_lines(_page(jobs[0]))
    else:
        screen.show_lines(_table(jobs) if jobs else ["no jobs"])


def _listed(api: ImportApi, args: Namespace) -> Iterator[ImportJob]:
    status = str(args.status or "").upper()
    status = _STATUSES.get(status, status)
    return api.list_all(status=status, model_name=args.model_name or "")


def _as_json(job: ImportJob) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "status": job.status,
        "model_name": job.model_name,
        "display_name": job.display_name,
        "weight_type": job.weight_type.value if job.weight_type else None,
        "source": _source(job),
        "error_code": job.error_code,
        "created": job.created.isoformat() if job.created else None,
        "request_id": job.request_id,
    }


def _source(job: ImportJob) -> str:
    return f"oss://{job.bucket}/{job.prefix}" if job.bucket else ""


def _created(job: ImportJob) -> str:
    return job.created.strftime("%Y-%m-%d %H:%M:%S %Z") if job.created else ""


def _table(jobs: list[ImportJob]) -> Iterator[str]:
    heading = ("job", "status", "model", "display name", "created", "from")
    rows = [
        (
            job.job_id,
            job.status,
            job.model_name,
            job.display_name,
            _created(job),
            _source(job),
        )
        for job in jobs
    ]
    return table([heading, *rows])


def _page(job: ImportJob) -> Iterator[str]:
    yield f"job         {job.job_id}"
    yield f"status      {job.status}"
    yield f"model       {job.model_name}"
    yield f"display     {job.display_name}"
    yield f"from        {_source(job)}"
    yield f"created     {_created(job)}"
    if job.error_code:
        yield f"error       {job.error_code}"
        if found := explain_code(Service.JOB, job.error_code):
            yield f"  why       {found.cause}"
            yield f"  fix       {found.remedy}"
    yield f"request id  {job.request_id}"


def cmd_delete(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Delete the platform's record of a final job; only with --yes."""
    del record
    with studio_client(_settings(args, screen)) as client:
        api = ImportApi(client)
        job = api.get(args.job_id)
        what = f"job {job.job_id} ({job.status}) of model {job.model_name}"
        if not job.finished:
            raise UsageError(
                f"{what} cannot be deleted: only final jobs can",
                hint=f"preflight wait {job.job_id}",
                request_id=job.request_id,
            )
        stays = f"the objects under {_source(job)} stay"
        if not args.yes:
            raise UsageError(
                f"would delete {what}; {stays}; nothing was deleted",
                hint=f"preflight delete {job.job_id} --yes; after it, preflight no "
                "longer knows that a model came from that prefix and would let an "
                "upload change it",
                request_id=job.request_id,
            )
        request_id = api.delete(job.job_id)
    screen.show_lines([f"deleted {what}; {stays} (request id {request_id})"])
