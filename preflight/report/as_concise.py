"""The report in lines for grep and editors: one a finding, and one for the verdict."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.findings import Result, Severity
from preflight.language import glued
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.answer import answer
from preflight.report.subject import label
from preflight.text import Line, render_lines


def render(record: RunRecord, style: Style) -> str:
    """`DIR: error C02 adapter_config.json: r is 128`, and `DIR: NOT READY  …`."""
    return render_lines(_lines(record, style), color=style.color)


def _lines(record: RunRecord, style: Style) -> Iterator[str | Line]:
    name = label(record.directory)
    for severity in Severity:
        for outcome in record.report.select(Result.FAILED):
            if outcome.severity is not severity:
                continue
            for problem in outcome.problems:
                where = f"{problem.where}: " if problem.where not in ("", ".") else ""
                told = problem.severity or severity
                start = f"{name}: {told.value} {outcome.code} "
                yield glued(start, where, problem.message)
    found = answer(record)
    if found is not None:
        line = found.line(marks=style.marks)
        yield Line((f"{name}: ", *line.pieces))
