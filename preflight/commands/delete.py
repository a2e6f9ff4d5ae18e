"""`delete`: the platform's record of a final job; the objects in OSS stay."""

from __future__ import annotations

import argparse
from dataclasses import replace

from preflight.commands._flags import add_format
from preflight.commands._settings import require_settings
from preflight.errors import UsageError
from preflight.language import say
from preflight.pipeline.services import studio_client
from preflight.report.document import envelope, job_document
from preflight.settings import Need
from preflight.studio.imports import ImportApi
from preflight.studio.named import get_job
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which job, and whether really."""
    parser.add_argument("job_id", metavar="JOB_ID", help=say("the import job's id"))
    parser.add_argument(
        "--yes",
        action="store_true",
        help=say("delete; without it, only say what would be"),
    )
    add_format(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Delete; without --yes, say what would be and raise `UsageError`."""
    settings = require_settings(arguments, terminal, Need.STUDIO)
    with studio_client(settings) as client:
        api = ImportApi(client)
        job = get_job(api, arguments.job_id)
        what = say(
            "job {job_id} ({state}) of model {model}",
            job_id=job.job_id,
            state=job.told,
            model=job.model_name,
        )
        if not job.finished:
            raise UsageError(
                say("{what} cannot be deleted: only final jobs can", what=what),
                hint=f"preflight wait {job.job_id}",
                request_id=job.request_id,
            )
        stays = say("the objects under {source} stay", source=job.source)
        if not arguments.yes:
            raise UsageError(
                say(
                    "would delete {what}; {stays}; nothing was deleted",
                    what=what,
                    stays=stays,
                ),
                hint=say(
                    "preflight delete {job_id} --yes; after it, preflight no "
                    "longer knows that a model came from that prefix and would let "
                    "an upload change it",
                    job_id=job.job_id,
                ),
                request_id=job.request_id,
            )
        request_id = api.delete(job.job_id)
    if arguments.format == "json":
        told = job_document(replace(job, request_id=request_id))
        terminal.show_document(envelope("delete", job=told))
        return 0
    terminal.show_lines(
        [
            say(
                "deleted {what}; {stays} (request id {request_id})",
                what=what,
                stays=stays,
                request_id=request_id,
            )
        ]
    )
    return 0
