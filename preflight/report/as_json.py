"""The report for programs: one JSON document."""

from __future__ import annotations

from preflight.language import for_programs
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.document import as_document
from preflight.text import json_text


def render(record: RunRecord, _: Style) -> str:
    """The document, indented, with one newline at its end."""
    return json_text(for_programs(as_document(record)))
