"""The report as one HTML page: no script, no network, nothing outside of the file.

Jinja2 escapes every value by itself; control and direction marks are made visible
before that, as on a terminal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflight.findings import Outcome, Result, Severity, Unavailable
from preflight.model.update_map import CellState, ModuleUpdate, UpdateMap
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.answer import Tone, answer
from preflight.report.failed import why
from preflight.report.maps import amount
from preflight.report.subject import label, subject
from preflight.text import escaped

if TYPE_CHECKING:
    from jinja2 import Template

_LEVELS = 9  # shades of the map
_MARKS = {
    CellState.ZERO: ("zero", "0"),
    CellState.UNCHANGED: ("same", "same"),
    CellState.NOT_IN_BASE: ("unread", "new"),
    CellState.NOT_FINITE: ("nonfinite", "NaN"),
    CellState.MISSING: ("missing", "missing"),
    CellState.UNREADABLE: ("unread", "?"),
}


def _shown(value: object) -> object:
    return escaped(value) if isinstance(value, str) else value


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def render(record: RunRecord, _: Style) -> str:
    """The whole page."""
    return _template().render(_values(record)) + "\n"


def _values(record: RunRecord) -> dict[str, Any]:
    found = answer(record)
    tone = found.tone if found else Tone.BAD
    return {
        "name": label(record.directory) or record.command,
        "command": record.command,
        "started": record.started.astimezone().strftime("%Y-%m-%d %H:%M %z"),
        "tone": tone.name.lower(),
        "mark": tone.mark(marks=True),
        "word": found.word if found else "NOT FINISHED",
        "rest": found.rest if found else "",
        "following": found.following if found else "",
        "about": subject(record, 0),
        "error": record.error,
        "findings": list(_findings(record)),
        "map": _map(record),
        "upload": _upload(record),
        "job": _job(record),
        "stages": [(name, f"{took:.1f}") for name, took in record.stages.items()],
        "rules": [
            {
                "code": each.code,
                "name": each.name,
                "result": each.result.value,
                "reason": each.reason,
            }
            for each in record.report.outcomes
        ],
    }


def _findings(record: RunRecord) -> Iterator[dict[str, Any]]:
    failed = record.report.select(Result.FAILED)
    for severity in Severity:
        yield from (_finding(each) for each in failed if each.severity is severity)


def _finding(outcome: Outcome) -> dict[str, Any]:
    fixes = dict.fromkeys(each.fix or outcome.fix for each in outcome.problems)
    return {
        "severity": outcome.severity.value,
        "code": outcome.code,
        "name": outcome.name,
        "problems": outcome.problems,
        "hidden": max(0, outcome.count - len(outcome.problems)),
        "why": why(outcome.code),
        "fixes": [fix for fix in fixes if fix],
    }


def _map(record: RunRecord) -> dict[str, Any] | None:
    if record.checked is None or isinstance(record.checked.updates, Unavailable):
        return None
    return _map_values(record.checked.updates)


def _map_values(found: UpdateMap) -> dict[str, Any]:
    rows = [
        {
            "layer": layer,
            "cells": [_cell(found, found.at(layer, kind)) for kind in found.kinds],
        }
        for layer in found.layers
    ]
    states = Counter(
        found.at(layer, kind).state for layer in found.layers for kind in found.kinds
    )
    return {
        "relative": found.relative,
        "largest": amount(found, found.largest),
        "total": amount(found, found.total),
        "kinds": found.kinds,
        "rows": rows,
        "counts": [
            (state.value, states[state]) for state in CellState if states[state]
        ],
        "others": [
            {
                "module": each.kind,
                "text": f"{amount(found, each.norm)} ({each.state.value})",
            }
            for each in found.others
        ],
    }


def _cell(found: UpdateMap, update: ModuleUpdate) -> dict[str, str]:
    if update.state in _MARKS:
        css, text = _MARKS[update.state]
        return {"css": css, "text": text}
    share = update.norm / found.largest if found.largest else 0.0
    level = min(_LEVELS - 1, int(_LEVELS * share))
    return {"css": f"l{level}", "text": amount(found, update.norm)}


def _upload(record: RunRecord) -> dict[str, Any] | None:
    if (done := record.uploaded) is not None:
        names = {item.key: item.name for item in done.plan.items}
        return {
            "title": "Upload",
            "caption": f"to {done.plan.destination.url}, "
            f"{done.sent:,} bytes were sent by this run",
            "sums": True,
            "files": [
                {"name": names[o.key], "size": f"{o.size:,}", "crc": str(o.crc64)}
                for o in done.manifest.objects
            ],
        }
    if record.planned is not None:
        plan = record.planned.plan
        return {
            "title": "Plan",
            "caption": f"to {plan.destination.url}",
            "sums": False,
            "files": [{"name": i.name, "size": f"{i.size:,}"} for i in plan.items],
        }
    return None


def _job(record: RunRecord) -> list[tuple[str, str]]:
    if record.imported is None:
        return []
    job = record.imported.job
    created = job.created.astimezone() if job.created else None
    told = [
        ("job", job.job_id),
        ("state", job.word),
        ("model", job.model_name),
        ("console name", job.display_name),
        ("created", created.strftime("%Y-%m-%d %H:%M %z") if created else ""),
        ("from", job.source),
        ("error", job.error_code),
        *[("likely cause", cause) for cause in record.imported.causes],
    ]
    return [(name, value) for name, value in told if value]
