"""The report as one HTML page: no script, no network, nothing outside of the file.

Jinja2 escapes every value by itself; control and direction marks are made visible
before that, as on a terminal.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflight.language import current_language, glued
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.page import page_words, run_values
from preflight.report.several import Several
from preflight.report.subject import label
from preflight.text import escaped

if TYPE_CHECKING:
    from jinja2 import Template


def _shown(value: object) -> object:
    """Text made visible; what a macro of the template made is that already."""
    made = hasattr(value, "__html__")
    return escaped(value) if isinstance(value, str) and not made else value


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
    """The page of one run."""
    run = run_values(record, "run")
    return _page(glued(run["name"], ": ", run["word"]), [run], None)


def render_many(several: Several, _: Style) -> str:
    """One page: a table that links to the part of each directory, and the parts."""
    runs = [
        run_values(record, f"run-{number}")
        for number, record in enumerate(several.records, 1)
    ]
    name = label(several.parent) or several.rest
    rows = [
        {
            "id": run["id"],
            "directory": each.directory,
            "tone": each.tone.name.lower(),
            "mark": each.tone.mark(marks=True),
            "word": each.word,
            "cells": each.cells,
        }
        for run, each in zip(runs, several.summaries(), strict=True)
    ]
    whole = {
        "name": name,
        "tone": several.tone.name.lower(),
        "mark": several.tone.mark(marks=True),
        "word": several.word,
        "rest": several.rest,
        "following": several.following,
        "headings": several.headings,
        "numbers": several.numbers,
        "rows": rows,
    }
    return _page(glued(name, ": ", several.word), runs, whole)


def _page(
    title: str, runs: list[dict[str, Any]], several: dict[str, Any] | None
) -> str:
    made = _template().render(
        title=title,
        runs=runs,
        several=several,
        words=page_words(),
        language=current_language().replace("_", "-"),
    )
    return made + "\n"
