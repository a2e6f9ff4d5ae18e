"""`check`: judge a directory; a failed rule is exit code 1."""

from __future__ import annotations

import argparse

from preflight.api import check
from preflight.commands._flags import (
    add_model,
    add_report,
    check_flags,
    group,
    report_places,
)
from preflight.commands._many import check_many, models_below
from preflight.commands._recorder import Recorder, reported
from preflight.language import say
from preflight.pipeline.planned import require_pushable
from preflight.record import RunRecord
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The directory, how to judge it, and the report."""
    add_model(parser, many=True)
    group(parser, "rules").add_argument(
        "--select",
        metavar="CODES",
        action="append",
        default=[],
        help=say("run only these rules or families, such as C,K02"),
    )
    add_report(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Judge, and report; several directories, or those below one, as a table."""
    directories = arguments.model_dir
    if len(directories) > 1:
        return check_many(arguments, terminal, directories)
    (directory,) = directories
    forms = {place.form for place in report_places(arguments)}
    # The document for programs stays that of the directory which was named.
    if "json" not in forms and (below := models_below(directory)):
        return check_many(arguments, terminal, below, parent=directory)
    record = RunRecord("check", str(directory))

    def work(recorder: Recorder) -> int:
        report = check(
            directory,
            select=arguments.select,
            observer=recorder,
            **check_flags(arguments),
        )
        if report.ok and not arguments.select and record.checked is not None:
            # What a push would refuse before it sends a byte is not ready.
            require_pushable(record.checked)
        if not report.ok and not arguments.select and record.checked is not None:
            from preflight.repair.plan import is_repairable  # only where there is need

            record.repairable = is_repairable(record.checked)
        return 0 if report.ok else 1

    return reported(arguments, terminal, record, work)
