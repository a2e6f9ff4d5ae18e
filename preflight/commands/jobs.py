"""`jobs`: list the import jobs, or look at one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice

from preflight.catalog.explanations import Service, explain_code
from preflight.commands._flags import add_format, count
from preflight.commands._settings import require_settings
from preflight.pipeline.services import studio_client
from preflight.report.document import job_document
from preflight.report.manual import table
from preflight.settings import Need
from preflight.studio.imports import ImportApi, ImportJob
from preflight.terminal import Terminal

_SCHEMA = 1
# The service spells its success so; one page of its documentation does not.
_STATUSES = {"SUCCEEDED": "SUCCESSED"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which jobs."""
    parser.add_argument(
        "job_id", metavar="JOB_ID", nargs="?", help="show this job (default: all)"
    )
    parser.add_argument(
        "--status",
        type=str.lower,
        choices=("pending", "running", "succeeded", "successed", "failed"),
        help="only jobs in this state",
    )
    parser.add_argument(
        "--model-name",
        metavar="NAME",
        help="only the job of this model, by the name that the platform gave it",
    )
    parser.add_argument(
        "--limit", type=count, metavar="N", help="the newest N jobs (default: all)"
    )
    add_format(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Show one job, or all of them newest first."""
    settings = require_settings(arguments, terminal, Need.STUDIO)
    with studio_client(settings) as client:
        api = ImportApi(client)
        if arguments.job_id:
            jobs = [api.get(arguments.job_id)]
        else:
            jobs = list(islice(_listed(api, arguments), arguments.limit or None))
    if arguments.format == "json":
        documents = [job_document(job) for job in jobs]
        terminal.show_document({"schema": _SCHEMA, "jobs": documents})
    elif arguments.job_id:
        terminal.show_lines(_page(jobs[0]))
    else:
        terminal.show_lines(_table(jobs) if jobs else ["no jobs"])
    return 0


def _listed(api: ImportApi, arguments: argparse.Namespace) -> Iterator[ImportJob]:
    status = str(arguments.status or "").upper()
    status = _STATUSES.get(status, status)
    return api.list_all(status=status, model_name=arguments.model_name or "")


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
            job.source,
        )
        for job in jobs
    ]
    return table([heading, *rows])


def _page(job: ImportJob) -> Iterator[str]:
    yield f"job         {job.job_id}"
    yield f"status      {job.status}"
    yield f"model       {job.model_name}"
    yield f"display     {job.display_name}"
    yield f"from        {job.source}"
    yield f"created     {_created(job)}"
    if job.error_code:
        yield f"error       {job.error_code}"
        if found := explain_code(Service.JOB, job.error_code):
            yield f"  why       {found.cause}"
            yield f"  fix       {found.remedy}"
    yield f"request id  {job.request_id}"
