"""The report of a run in its forms, one file a form.

The file of the form `text` is `as_text.py`; it has `render(record, style)`. A form is
added as such a file and a line in `FORMATS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType

from preflight.record import RunRecord

FORMATS = MappingProxyType(
    {
        "text": "lines for people",
        "json": "one document for programs",
    }
)


@dataclass(frozen=True, slots=True)
class Style:
    """How to write: with colour, and with every rule or only those that failed."""

    color: bool = False
    verbose: bool = False


def render(record: RunRecord, form: str, style: Style | None = None) -> str:
    """The report in one of `FORMATS`; empty when there is nothing to tell."""
    module = import_module(f"preflight.report.as_{form}")
    text: str = module.render(record, style or Style())
    return text
