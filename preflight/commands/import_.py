"""`import`: a job for what already lies in a bucket."""

from __future__ import annotations

import argparse

from preflight.commands._flags import add_import, add_report, add_weight_type
from preflight.commands._recorder import Recorder, reported
from preflight.commands._settings import require_settings
from preflight.destination import parse_destination
from preflight.findings import WeightType
from preflight.language import say
from preflight.pipeline.import_prefix import import_prefix
from preflight.pipeline.options import ImportOptions, Waiting
from preflight.record import RunRecord
from preflight.settings import Need
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The prefix, what it is, and the import."""
    parser.add_argument(
        "destination", metavar="oss://bucket/prefix/", help=say("where the files lie")
    )
    parser.add_argument(
        "--base-model",
        metavar="ID",
        required=True,
        help=say("base model trained on, as `preflight bases` lists it"),
    )
    add_weight_type(parser)
    add_import(parser)
    add_report(parser)


def _waiting(arguments: argparse.Namespace) -> Waiting:
    return Waiting(arguments.timeout, arguments.poll_interval)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Submit, wait, and report."""

    def work(recorder: Recorder) -> int:
        destination = parse_destination(arguments.destination)
        recorder.record.directory = destination.url
        settings = require_settings(arguments, terminal, Need.OSS, Need.STUDIO)
        recorder.record.service = settings.base_url.value
        options = ImportOptions(
            destination,
            arguments.base_model,
            WeightType(arguments.weight_type) if arguments.weight_type else None,
            display_name=arguments.display_name,
            waiting=None if arguments.no_wait else _waiting(arguments),
            again=arguments.again,
        )
        import_prefix(options, settings, recorder)
        return 0

    record = RunRecord("import", arguments.destination)
    return reported(arguments, terminal, record, work)
