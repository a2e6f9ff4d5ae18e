"""The report of a run in its forms, one file a form.

The file of the form `text` is `as_text.py`; it has `render(record, style)`, and
`render_many(several, style)` where several directories in one file are more than one
after the other. A form is added as such a file and a line in `FORMATS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

from preflight.hidden import masked
from preflight.record import RunRecord

if TYPE_CHECKING:
    from preflight.report.several import Several

FORMATS = MappingProxyType(
    {
        "text": "lines for people",
        "json": "one document for programs",
        "concise": "one line a finding",
        "github": "annotations of GitHub Actions",
        "junit": "JUnit XML for CI servers",
        "markdown": "Markdown for a job's summary",
        "html": "one page for a browser, with a map of the adapter",
    }
)


PROSE = 80  # columns of sentences where the width is not known


@dataclass(frozen=True, slots=True)
class Style:
    """How to write a report.

    `verbose`: every rule, not only those that failed; `quiet`: the verdict alone.
    `marks`: whether signs such as a tick can be shown. `width` and `height` are those
    of the terminal in columns and lines, 0 where there is none.
    """

    color: bool = False
    verbose: bool = False
    quiet: bool = False
    marks: bool = True
    width: int = 0
    height: int = 0

    @property
    def prose(self) -> int:
        """Columns for sentences: as wide as can be read well."""
        return min(self.width or PROSE, 100)


def render(record: RunRecord, form: str, style: Style | None = None) -> str:
    """The report in one of `FORMATS`; empty when there is nothing to tell."""
    module = import_module(f"preflight.report.as_{form}")
    text: str = module.render(record, style or Style())
    return text if form == "json" else masked(text)


def render_many(several: Several, form: str, style: Style | None = None) -> str:
    """The report of several directories as one, in one of `FORMATS`."""
    module = import_module(f"preflight.report.as_{form}")
    whole = getattr(module, "render_many", None)
    if whole is None:
        return "".join(render(record, form, style) for record in several.records)
    text: str = whole(several, style or Style())
    return text if form == "json" else masked(text)
