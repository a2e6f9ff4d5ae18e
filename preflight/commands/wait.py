"""`wait`: follow a job that an earlier run submitted."""

from __future__ import annotations

import argparse

from preflight.commands._flags import add_report, add_waiting
from preflight.commands._recorder import Recorder, reported
from preflight.commands._settings import require_settings
from preflight.language import say
from preflight.pipeline.import_prefix import wait_for
from preflight.pipeline.options import Waiting
from preflight.pipeline.services import studio_client
from preflight.record import RunRecord
from preflight.settings import Need
from preflight.studio.imports import ImportApi
from preflight.studio.named import job_named, whole_id
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The job, and how long to wait."""
    parser.add_argument("job_id", metavar="JOB_ID", help=say("the import job's id"))
    add_waiting(parser)
    add_report(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Wait, and report."""

    def work(recorder: Recorder) -> int:
        settings = require_settings(arguments, terminal, Need.STUDIO)
        recorder.record.service = settings.base_url.value
        waiting = Waiting(arguments.timeout, arguments.poll_interval)
        with studio_client(settings) as client:
            job_id = whole_id(ImportApi(client), arguments.job_id)
        with job_named(arguments.job_id):
            wait_for(job_id, waiting, settings, recorder)
        return 0

    return reported(arguments, terminal, RunRecord("wait"), work)
