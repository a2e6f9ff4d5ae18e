"""`check`: judge a directory; a failed rule is exit code 1."""

from __future__ import annotations

import argparse

from preflight.api import check
from preflight.commands._flags import add_model, add_report, check_flags, group
from preflight.commands._recorder import Recorder, reported
from preflight.pipeline.planned import require_pushable
from preflight.record import RunRecord
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The directory, how to judge it, and the report."""
    add_model(parser)
    group(parser, "rules").add_argument(
        "--select",
        metavar="CODES",
        action="append",
        default=[],
        help="run only these rules or families, such as C,K02",
    )
    add_report(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Judge, and report."""
    record = RunRecord("check", str(arguments.model_dir))

    def work(recorder: Recorder) -> int:
        report = check(
            arguments.model_dir,
            select=arguments.select,
            observer=recorder,
            **check_flags(arguments),
        )
        if report.ok and not arguments.select and record.checked is not None:
            # What a push would refuse before it sends a byte is not ready.
            require_pushable(record.checked)
        return 0 if report.ok else 1

    return reported(arguments, terminal, record, work)
