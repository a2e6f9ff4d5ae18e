"""The report for programs: one JSON document."""

from __future__ import annotations

from preflight.language import for_programs
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.document import (
    as_document,
    envelope,
    error_document,
    usable,
)
from preflight.report.several import Several
from preflight.text import json_text


def render(record: RunRecord, _: Style) -> str:
    """The document, indented, with one newline at its end."""
    return json_text(for_programs(as_document(record)))


def render_many(several: Several, _: Style) -> str:
    """One document that holds those of the directories."""
    document = envelope(
        several.command,
        several.code,
        verdict=several.verdict.value,
        usable=all(map(usable, several.records)),
        reports=[as_document(record) for record in several.records],
    )
    if several.error is not None:
        document["error"] = error_document(several.error)
    return json_text(for_programs(document))
