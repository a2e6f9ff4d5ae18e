"""The report as annotations of GitHub Actions, one line a problem.

The grammar is that of GitHub's "Workflow commands": `::error file=F,title=T::message`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from preflight.findings import Outcome, Problem, Result
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.answer import Tone, answer
from preflight.text import escaped

_IN_TEXT = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_IN_PROPERTY = {**_IN_TEXT, ":": "%3A", ",": "%2C"}


def render(record: RunRecord, _: Style) -> str:
    """One annotation for each problem, and one for the verdict."""
    lines = [*_findings(record), *_verdict(record)]
    return "".join(f"{line}\n" for line in lines)


def _findings(record: RunRecord) -> Iterator[str]:
    for outcome in record.report.select(Result.FAILED):
        for problem in outcome.problems:
            yield _of_problem(record, outcome, problem)


def _of_problem(record: RunRecord, outcome: Outcome, problem: Problem) -> str:
    severity = problem.severity or outcome.severity
    fix = problem.fix or outcome.fix
    where = f"{problem.where}: " if problem.where else ""
    message = f"{where}{problem.message}" + (f"\nfix: {fix}" if fix else "")
    properties = {"title": f"{outcome.code} {outcome.name}"}
    if file := _file(record, problem.where):
        properties = {"file": file, **properties}
    return annotation(severity.value, message, properties)


def _file(record: RunRecord, where: str) -> str:
    """The file that a problem names, as a path from where preflight was started."""
    name = where.partition(":")[0]
    path = Path(record.directory) / name
    return str(path) if name and "\0" not in name and path.is_file() else ""


def _verdict(record: RunRecord) -> Iterator[str]:
    found = answer(record)
    if record.error is not None:
        hint = f"\n{record.error.hint}" if record.error.hint else ""
        yield annotation(
            "error", f"{record.error.message}{hint}", {"title": "preflight"}
        )
    elif found is not None:
        level = "error" if found.tone is Tone.BAD else "notice"
        yield annotation(level, f"{found.word}  {found.rest}", {"title": "preflight"})


def annotation(level: str, message: str, properties: dict[str, str]) -> str:
    """A workflow command; nothing of a stranger's text can end it or begin another."""
    told = ",".join(
        f"{name}={_encoded(value, _IN_PROPERTY)}" for name, value in properties.items()
    )
    return f"::{level} {told}::{_encoded(message, _IN_TEXT)}"


def _encoded(text: str, table: dict[str, str]) -> str:
    lines = "\n".join(escaped(line) for line in text.split("\n"))
    return "".join(table.get(character, character) for character in lines)
