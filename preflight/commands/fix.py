"""`fix`: make of a directory that would not import one that does, beside it."""

from __future__ import annotations

import argparse
from pathlib import Path

from preflight.api import check_options
from preflight.commands._flags import (
    add_losses,
    add_model,
    add_report,
    check_flags,
    losses_of,
)
from preflight.commands._recorder import Recorder, reported
from preflight.errors import UsageError
from preflight.findings import Verdict
from preflight.language import say
from preflight.pipeline.checked import Checked
from preflight.pipeline.planned import require_pushable
from preflight.record import RunRecord
from preflight.repair.plan import planned_repair
from preflight.repair.run import Repaired, repaired
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The directory, the place of the new one, and what may be lost."""
    add_model(parser)
    parser.add_argument(
        "-o",
        dest="new_dir",
        metavar="NEWDIR",
        type=Path,
        help=say("directory to make: a new or empty one, or one that holds the same"),
    )
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help=say("tell what would be done")
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help=say("replace a NEWDIR that holds something"),
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help=say("make NEWDIR even if a rule still fails on it"),
    )
    add_losses(parser)
    add_report(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Plan, make, judge and report; 1 where a rule still fails."""
    target: Path | None = arguments.new_dir
    if target is None and not arguments.dry_run:
        raise UsageError(
            say("no directory was given to make"),
            hint=say("preflight fix MODEL_DIR -o NEWDIR, or add -n for the plan"),
        )
    record = RunRecord("fix", str(arguments.model_dir), dry_run=arguments.dry_run)

    def work(recorder: Recorder) -> int:
        options = check_options(arguments.model_dir, check_flags(arguments))
        with recorder.stage("plan"):
            plan = planned_repair(options, losses_of(arguments))
        record.repaired = Repaired(plan, target)
        if target is None or arguments.dry_run or not plan.draft.weights:
            record.checked = Checked(options, plan.seen, plan.outlook)
            return 0 if plan.outlook.verdict is not Verdict.FAIL else 1
        record.repaired, record.checked = repaired(
            plan,
            options,
            target,
            recorder,
            force=arguments.force,
            partial=arguments.partial,
        )
        if record.repaired.written:
            record.directory = str(target)
        if record.report.verdict is not Verdict.FAIL:
            require_pushable(record.checked)
        return 0 if record.report.verdict is not Verdict.FAIL else 1

    return reported(arguments, terminal, record, work)
