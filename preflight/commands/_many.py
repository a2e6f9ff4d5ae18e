"""Several directories at once: a table of verdicts, the newest first."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from preflight.api import check
from preflight.commands._flags import check_flags
from preflight.commands._shown import show_report
from preflight.errors import PreflightError, UsageError
from preflight.findings import Unavailable
from preflight.model.files import is_directory
from preflight.model.source import LocalDirectory
from preflight.model.steady import Unreadable
from preflight.model.weight_type import decide_weight_type
from preflight.pipeline.places import ModelPlace
from preflight.pipeline.planned import require_pushable
from preflight.record import ErrorRecord, Gatherer, RunRecord
from preflight.report import Style, render_many
from preflight.report.several import Several
from preflight.rules.d_subdirectories import subdirectories
from preflight.terminal import Terminal

_MOST = 50  # models below one directory that are looked at, the newest


def directory_at(path: Path) -> bool:
    """Whether a directory can be looked into; what keeps it from that is told later."""
    try:
        return bool(is_directory(path))
    except Unreadable:
        return False


def models_below(directory: ModelPlace) -> tuple[Path, ...]:
    """The models in the folders below a directory that holds none itself."""
    if isinstance(directory, str) or not directory_at(directory):
        return ()
    walk = LocalDirectory(directory).walk()
    names = {entry.name: entry for entry in walk.entries if entry.at_top}
    if not isinstance(decide_weight_type(names), Unavailable):
        return ()
    folders = dict.fromkeys(each.folder for each in subdirectories(walk))
    return tuple(directory / folder for folder in folders)[:_MOST]


def check_many(
    arguments: Namespace,
    terminal: Terminal,
    directories: Sequence[ModelPlace],
    *,
    parent: ModelPlace | None = None,
) -> int:
    """Judge each and tell all in one report; the exit code is the worst of all.

    `parent`: the directory that was named, which holds no model itself: it cannot be
    pushed, whatever lies below it.
    """
    records = [_checked(arguments, directory) for directory in directories]
    codes = [record.exit_code for record in records if record.exit_code]
    code = 1 if parent is not None or 1 in codes else max(codes, default=0)
    several = Several.of(records, code, str(parent) if parent is not None else "")
    return report_many(arguments, terminal, several)


def report_many(arguments: Namespace, terminal: Terminal, several: Several) -> int:
    """Show what became of several directories; the exit code."""

    def failed(error: UsageError) -> None:
        nonlocal several
        told = ErrorRecord(error.message, error.hint)
        code = several.code or error.exit_code
        several = replace(several, code=code, error=several.error or told)

    def make(form: str, style: Style) -> str:
        return render_many(several, form, style)

    try:
        unwritten = show_report(arguments, terminal, make, failed)
    except UsageError as exc:
        failed(exc)
        unwritten = exc
    if unwritten is not None:
        terminal.tell(unwritten)
    terminal.event("end", exit_code=several.code, verdict=several.verdict.value)
    return several.code


def _checked(arguments: Namespace, directory: ModelPlace) -> RunRecord:
    record = RunRecord("check", str(directory))
    observer = Gatherer(record)
    try:
        report = check(
            directory,
            select=arguments.select,
            observer=observer,
            **check_flags(arguments),
        )
        record.exit_code = 0 if report.ok else 1
        if report.ok and not arguments.select and record.checked is not None:
            require_pushable(record.checked)
    except PreflightError as error:
        record.exit_code = error.exit_code
        record.error = ErrorRecord(error.message, error.hint, error.request_id)
    return record
