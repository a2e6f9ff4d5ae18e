"""`check`: judge a directory; a failed rule is exit code 1."""

from __future__ import annotations

import argparse

from preflight.commands._flags import add_model, add_report
from preflight.commands._options import check_options
from preflight.commands._recorder import Recorder, reported
from preflight.findings import Verdict
from preflight.pipeline.checked import check
from preflight.record import RunRecord
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The directory, how to judge it, and the report."""
    add_model(parser)
    parser.add_argument(
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
        checked = check(check_options(arguments), recorder)
        return 1 if checked.report.verdict is Verdict.FAIL else 0

    return reported(arguments, terminal, record, work)
