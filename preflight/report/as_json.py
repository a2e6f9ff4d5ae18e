"""The report for programs: one JSON document."""

from __future__ import annotations

import json

from preflight.record import RunRecord
from preflight.report.document import as_document


def render_json(record: RunRecord) -> str:
    """The document, indented, with one newline at its end."""
    return json.dumps(as_document(record), indent=2, ensure_ascii=False) + "\n"
