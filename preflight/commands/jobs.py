"""`jobs`: list the import jobs, or look at one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from preflight.catalog.explanations import Service, explain_code
from preflight.commands._flags import add_format, add_wide
from preflight.commands._jobs import SHORT, local_time
from preflight.commands._settings import require_settings
from preflight.commands._values import count
from preflight.language import say
from preflight.pipeline.services import studio_client
from preflight.report.document import envelope, job_document
from preflight.report.tables import table
from preflight.settings import Need
from preflight.studio.imports import ImportApi, ImportJob
from preflight.studio.named import get_job
from preflight.terminal import Terminal

_ROOMY = 110  # columns from which on a table shows where the files lie, too
# The service spells its success so; one page of its documentation does not.
_STATUSES = {"SUCCEEDED": "SUCCESSED"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which jobs."""
    parser.add_argument(
        "job_id", metavar="JOB_ID", nargs="?", help=say("show this job (default: all)")
    )
    parser.add_argument(
        "--status",
        type=str.lower,
        choices=("pending", "running", "succeeded", "successed", "failed"),
        help=say("only jobs in this state"),
    )
    parser.add_argument(
        "--model-name",
        metavar="NAME",
        help=say("only the job of this model, by the name that the platform gave it"),
    )
    parser.add_argument(
        "--limit",
        type=count,
        metavar="N",
        help=say("the newest N jobs (default: all; on a terminal as many as fit)"),
    )
    add_format(parser)
    add_wide(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Show one job, or all of them newest first."""
    settings = require_settings(arguments, terminal, Need.STUDIO)
    room = _room(arguments, terminal)
    with studio_client(settings) as client:
        api = ImportApi(client)
        if arguments.job_id:
            jobs = [get_job(api, arguments.job_id)]
        else:
            wanted = arguments.limit or (room + 1 if room else None)
            jobs = list(islice(_listed(api, arguments), wanted))
    if arguments.format == "json":
        documents = [job_document(job) for job in jobs]
        terminal.show_document(envelope("jobs", jobs=documents))
    elif arguments.job_id:
        terminal.show_lines(_page(jobs[0]))
    else:
        shown = jobs[:room] if room else jobs
        wide = arguments.wide is not None
        told = _table(shown, wide=wide, width=0 if wide else terminal.width)
        terminal.show_lines(told if shown else [say("no jobs")])
        if len(shown) < len(jobs):
            terminal.show_lines([say("there are older ones: preflight jobs --limit N")])
        if terminal.width and shown:
            terminal.show_lines(_next_step(shown[0]))
    return 0


def _room(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """How many jobs stand on the screen at once; 0 where all are wanted."""
    everything = arguments.limit or arguments.wide or arguments.format == "json"
    return max(5, terminal.height - 5) if terminal.height and not everything else 0


def _next_step(job: ImportJob) -> Iterator[str]:
    """What one does about the newest job, if anything."""
    if not job.finished:
        yield say("next  preflight wait {job}", job=job.job_id[:SHORT])
    elif job.failed:
        yield say(
            "next  preflight jobs {job}    (why it failed)", job=job.job_id[:SHORT]
        )


def _listed(api: ImportApi, arguments: argparse.Namespace) -> Iterator[ImportJob]:
    status = str(arguments.status or "").upper()
    status = _STATUSES.get(status, status)
    return api.list_all(status=status, model_name=arguments.model_name or "")


def _table(jobs: list[ImportJob], *, wide: bool, width: int) -> Iterator[str]:
    """Newest first; on a terminal the beginnings of the ids, which is all one types."""
    short = SHORT if width and not wide else None
    heading = (
        say("job"),
        say("status"),
        say("model"),
        say("console name"),
        say("created"),
        say("from"),
    )
    rows = [heading]
    for job in jobs:
        shown = (job.job_id[:short], job.told, job.model_name, job.display_name)
        rows.append((*shown, local_time(job.created), job.source))
    if not width or width >= _ROOMY:
        return table(rows if jobs else [], width)
    # One deploys by the model's name: it is not cut to make room for the rest.
    offset = datetime.now().astimezone().strftime("%z")
    lines = [(*heading[:3], say("name"), say("created ({offset})", offset=offset))]
    lines += [(*row[:4], row[4][5:16]) for row in rows[1:]]
    return table(lines if jobs else [], width, whole=(0, 1, 2, 4), spare=(3, 4))


def _page(job: ImportJob) -> Iterator[str]:
    yield say("job         {job_id}", job_id=job.job_id)
    yield say("status      {state}", state=job.told)
    yield say("model       {model_name}", model_name=job.model_name)
    yield say("console     {display_name}", display_name=job.display_name)
    yield say("from        {source}", source=job.source)
    yield say("created     {local_time}", local_time=local_time(job.created))
    if job.error_code:
        yield say("error       {error_code}", error_code=job.error_code)
        if found := explain_code(Service.JOB, job.error_code):
            yield say("  why       {cause}", cause=found.cause)
            yield say("  fix       {remedy}", remedy=found.remedy)
    yield say("request id  {request_id}", request_id=job.request_id)
