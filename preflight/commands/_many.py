"""Several directories at once: a table of verdicts, the newest first."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from preflight.api import check
from preflight.commands._flags import check_flags, report_places
from preflight.errors import PreflightError, UsageError
from preflight.findings import Result, Severity, Unavailable, Verdict
from preflight.language import for_programs, say
from preflight.model.files import is_directory
from preflight.model.inspection import decide_weight_type
from preflight.model.source import LocalDirectory
from preflight.model.steady import Unreadable
from preflight.pipeline.planned import require_pushable
from preflight.record import ErrorRecord, Gatherer, RunRecord, write_whole
from preflight.report import Style, render
from preflight.report.answer import answer
from preflight.report.document import as_document, envelope, usable
from preflight.report.subject import label
from preflight.report.tables import table
from preflight.rules.d_subdirectories import candidates
from preflight.terminal import Terminal
from preflight.text import Line, json_text, render_lines

_MOST = 50  # models below one directory that are looked at, the newest
_ONE = ("html", "junit")  # forms whose file is of one directory


def directory_at(path: Path) -> bool:
    """Whether a directory can be looked into; what keeps it from that is told later."""
    try:
        return bool(is_directory(path))
    except Unreadable:
        return False


def models_below(directory: Path) -> tuple[Path, ...]:
    """The models in the folders below a directory that holds none itself."""
    if not directory_at(directory):
        return ()
    walk = LocalDirectory(directory).walk()
    names = {entry.name: entry for entry in walk.entries if entry.at_top}
    if not isinstance(decide_weight_type(names), Unavailable):
        return ()
    folders = dict.fromkeys(each.folder for each in candidates(walk))
    return tuple(directory / folder for folder in folders)[:_MOST]


def check_many(
    arguments: Namespace,
    terminal: Terminal,
    directories: Sequence[Path],
    *,
    parent: Path | None = None,
) -> int:
    """Judge each and tell all in one report; the exit code is the worst of all.

    `parent`: the directory that was named, which holds no model itself: it cannot be
    pushed, whatever lies below it.
    """
    places = report_places(arguments)
    if wrong := [place.form for place in places if place.form in _ONE]:
        raise UsageError(
            say(
                "--format {wrong} is of one directory, not of {count}",
                wrong=wrong[0],
                count=len(directories),
            ),
            hint=say("name one, or take --format json, markdown, github or concise"),
        )
    records = [_checked(arguments, directory) for directory in directories]
    codes = [record.exit_code for record in records if record.exit_code]
    code = 1 if parent is not None or 1 in codes else max(codes, default=0)
    for place in places:
        to_file = place.file is not None
        style = Style(
            terminal.color and not to_file,
            verbose=arguments.verbose > 0,
            quiet=terminal.quiet,
            marks=to_file or terminal.can_show("✔✘·"),
            width=0 if to_file else terminal.width,
        )
        text = _text(records, place.form, style, code, parent)
        if place.file is None:
            terminal.show(text)
        else:
            write_whole(place.file, text)
    return code


def _checked(arguments: Namespace, directory: Path) -> RunRecord:
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


def _text(
    records: Sequence[RunRecord],
    form: str,
    style: Style,
    code: int,
    parent: Path | None,
) -> str:
    if form == "json":
        return json_text(for_programs(_document(records, code)))
    if form == "text":
        lines = _lines(records, style, parent)
        return render_lines(lines, color=style.color)
    return "".join(render(record, form, style) for record in records)


def _document(records: Sequence[RunRecord], code: int) -> dict[str, object]:
    verdicts = [record.report.verdict for record in records]
    worst = next((v for v in (Verdict.FAIL, Verdict.WARN) if v in verdicts), None)
    if any(record.error is not None for record in records):
        worst = Verdict.FAIL
    return envelope(
        "check",
        code,
        verdict=(worst or Verdict.PASS).value,
        usable=all(map(usable, records)),
        reports=[as_document(record) for record in records],
    )


def _lines(
    records: Sequence[RunRecord], style: Style, parent: Path | None
) -> Iterator[str | Line]:
    ordered = sorted(records, key=_saved, reverse=True)
    good = [record for record in ordered if record.exit_code == 0]
    if not style.quiet:
        rows = [
            (
                say("directory"),
                say("verdict"),
                say("errors"),
                say("warnings"),
                say("saved"),
            )
        ]
        yield from table([*rows, *map(_row, ordered)], style.width)
        yield ""
    mark = ("✔", "✘") if style.marks else (say("OK"), say("FAIL"))
    total = say("{count} of {total} ready", count=len(good), total=len(ordered))
    if parent is not None:
        name = label(str(parent))
        yield say(
            "{mark} NOT READY  {name} holds no model itself; below it {total}",
            mark=mark[1],
            name=name,
            total=total,
        )
    else:
        yield (
            say("{mark} READY  {total}", mark=mark[0], total=total)
            if len(good) == len(ordered)
            else say("{mark} NOT READY  {total}", mark=mark[1], total=total)
        )
    if style.quiet:
        return
    if good and (found := answer(good[0])) is not None and found.following:
        yield say("next  {command}", command=found.following)
    elif not good:
        first = shlex.quote(ordered[0].directory)
        yield say("next  {command}", command=f"preflight check {first}")


def _saved(record: RunRecord) -> float:
    """When the newest file of a directory was written, in seconds."""
    if record.checked is None:
        return 0.0
    files = record.checked.found.files.values()
    return max((entry.mtime_ns for entry in files), default=0) / 1e9


def _row(record: RunRecord) -> tuple[str, ...]:
    found = answer(record)
    failed = record.report.select(Result.FAILED)
    numbers = [
        str(sum(each.severity is severity for each in failed))
        if record.report.outcomes
        else "-"
        for severity in Severity
    ]
    saved = _saved(record)
    when = datetime.fromtimestamp(saved).astimezone() if saved else None
    if found is not None:
        word = found.word
    else:
        word = record.error.message if record.error else "-"
    told = when.strftime("%Y-%m-%d %H:%M %z") if when else "-"
    return (label(record.directory), word, *numbers, told)
