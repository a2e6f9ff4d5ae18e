"""The report as annotations of GitHub Actions, one line a problem.

The grammar is that of GitHub's "Workflow commands": `::error file=F,title=T::message`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from preflight.findings import Outcome, Problem, Result, Severity
from preflight.language import glued, localized, say
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.answer import Tone, answer
from preflight.report.lines import line_of
from preflight.report.several import Several
from preflight.report.subject import label
from preflight.text import escaped

_IN_TEXT = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = {**_IN_TEXT, ":": "%3A", ",": "%2C"}


def render(record: RunRecord, _: Style) -> str:
    """One annotation for each problem, and one for the verdict."""
    return _text([record])


def render_many(several: Several, _: Style) -> str:
    """The errors of all directories, their warnings, and a verdict on each."""
    return _text(several.records)


def _text(records: Sequence[RunRecord]) -> str:
    # GitHub shows ten annotations of a level a step: the errors come first.
    lines = [
        line
        for severity in Severity
        for record in records
        for line in _findings(record, severity)
    ]
    lines += [line for record in records for line in _verdict(record)]
    return "".join(f"{line}\n" for line in lines)


def _findings(record: RunRecord, severity: Severity) -> Iterator[str]:
    for outcome in record.report.select(Result.FAILED):
        for problem in outcome.problems:
            if (problem.severity or outcome.severity) is severity:
                yield _of_problem(record, outcome, problem)


def _of_problem(record: RunRecord, outcome: Outcome, problem: Problem) -> str:
    severity = problem.severity or outcome.severity
    fix = problem.fix or outcome.fix
    where = f"{problem.where}: " if problem.where else ""
    message = glued(where, problem.message)
    if fix:
        message = glued(message, "\n", say("fix: {fix}", fix=fix))
    properties = _place(record, problem.where)
    properties["title"] = f"{outcome.code} {outcome.name}"
    return annotation(severity.value, message, properties)


def _place(record: RunRecord, where: str) -> dict[str, str]:
    """The file that a problem names, and the line of a field in it, if it has one."""
    name, _, field = where.partition(":")
    path = Path(record.directory) / name
    if not name or "\0" in name or not path.is_file():
        return {}
    line = line_of(path, field.strip()) if name.endswith(".json") else 0
    return {"file": _from_root(path), **({"line": str(line)} if line else {})}


def _from_root(path: Path) -> str:
    """As GitHub wants it, from the root of the repository that is checked out."""
    root = os.environ.get("GITHUB_WORKSPACE")
    if root:
        with contextlib.suppress(OSError, ValueError):
            return str(path.resolve().relative_to(Path(root).resolve()))
    return str(path)


def _verdict(record: RunRecord) -> Iterator[str]:
    found, title = answer(record), {"title": "preflight"}
    name = label(record.directory)
    where = f"{name}: " if name else ""
    if record.error is not None:
        hint = glued("\n", record.error.hint) if record.error.hint else ""
        yield annotation("error", glued(where, record.error.message, hint), title)
    elif found is not None:
        level = "error" if found.tone is Tone.BAD else "notice"
        told = glued(where, found.word, "  ", found.rest)
        yield annotation(level, told, title)


def annotation(level: str, message: str, properties: dict[str, str]) -> str:
    """A workflow command; nothing of a stranger's text can end it or begin another."""
    told = ",".join(
        f"{name}={_encoded(value, _IN_PROPERTY)}" for name, value in properties.items()
    )
    return f"::{level} {told}::{_encoded(message, _IN_TEXT)}"


def _encoded(text: str, table: dict[str, str]) -> str:
    lines = "\n".join(escaped(line) for line in localized(text).split("\n"))
    return "".join(table.get(character, character) for character in lines)
