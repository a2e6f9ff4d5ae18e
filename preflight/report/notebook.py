"""A run in the cell of a notebook: the verdict, and a table of what is wrong.

Neither style sheet nor script, which would reach the whole page, and no colours but
that of the verdict, so that dark and light themes both fit.
"""

from __future__ import annotations

from html import escape

from preflight.findings import Outcome, Result
from preflight.record import RunRecord
from preflight.report.answer import Tone, answer
from preflight.report.subject import subject
from preflight.text import escaped

_COLORS = {Tone.GOOD: "#1a7f37", Tone.BAD: "#cf222e"}
_HEADING = ("", "rule", "what", "how to mend it")  # as the API, in English
_SHOWN = 3  # problems of one rule


def as_notebook(record: RunRecord) -> str:
    """The run as a piece of HTML; every value in it is escaped."""
    found = answer(record)
    parts = [f"<div>{_safe(subject(record, 0))}</div>"]
    if found is not None:
        color = _COLORS.get(found.tone, "inherit")
        line = escape(found.line(marks=True).render())
        parts.insert(0, f'<div><b style="color:{color}">{line}</b></div>')
    if rows := [_row(each) for each in record.report.select(Result.FAILED)]:
        head = "".join(f"<th>{name}</th>" for name in _HEADING)
        parts.append(f"<table><tr>{head}</tr>{''.join(rows)}</table>")
    if found is not None and found.following:
        parts.append(f"<div>next: <code>{_safe(found.following)}</code></div>")
    return "".join(parts)


def _row(outcome: Outcome) -> str:
    told = [
        f"<div><code>{_safe(one.where)}</code> {_safe(one.message)}</div>"
        for one in outcome.problems[:_SHOWN]
    ]
    if outcome.count > _SHOWN:
        told.append(f"<div>and {outcome.count - _SHOWN:,} more</div>")
    fixes = dict.fromkeys(one.fix or outcome.fix for one in outcome.problems)
    cells = (
        outcome.severity.value,
        f"{outcome.code}<br>{_safe(outcome.name)}",
        "".join(told),
        "<br>".join(map(_safe, fixes)),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _safe(text: str) -> str:
    return escape(escaped(text))
