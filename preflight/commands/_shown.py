"""Where the report of a run goes: standard output, files, GitHub Actions."""

from __future__ import annotations

import contextlib
import os
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from preflight.commands._flags import report_places
from preflight.errors import UsageError
from preflight.language import glued, localized, say
from preflight.record import write_whole
from preflight.report import Style
from preflight.terminal import Terminal

Making = Callable[[str, Style], str]
"""Renders the report in a form of `FORMATS`."""

# GitHub's "Workflow commands for GitHub Actions": of a larger summary nothing is shown.
SUMMARY_BYTES = 1 << 20
_CUT = glued("\n\n", say("(cut here: a job's summary holds 1 MiB)"), "\n")


def show_report(
    arguments: Namespace,
    terminal: Terminal,
    make: Making,
    failed: Callable[[UsageError], None],
) -> UsageError | None:
    """Write each form of the report to where it was asked for.

    A file that cannot be written is told to `failed`, so that the report, which then
    goes to standard output, holds the exit code that follows; the first is returned.
    """
    first: UsageError | None = None
    places = report_places(arguments)
    for place in places:
        style = _style(arguments, terminal, to_file=place.file is not None)
        if place.file is None:
            shown = terminal.show_text if place.form == "text" else terminal.show
            shown(make(place.form, style))
            continue
        try:
            place.file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place.file, make(place.form, style))
        except OSError as exc:
            error = UsageError(
                say(
                    "cannot write {file}: {strerror}",
                    file=place.file,
                    strerror=exc.strerror,
                ),
                hint=say("another place; the report went to standard output instead"),
            )
            failed(error)
            terminal.show(make(place.form, style))  # better there than lost
            first = first or error
    _show_to_actions(terminal, make, {place.form for place in places})
    return first


def _style(arguments: Namespace, terminal: Terminal, *, to_file: bool) -> Style:
    return Style(
        terminal.color and not to_file,
        verbose=arguments.verbose > 0,
        quiet=terminal.quiet,
        marks=to_file or terminal.can_show("✔✘·"),
        width=0 if to_file else terminal.width,
        height=0 if to_file else terminal.height,
    )


def _show_to_actions(terminal: Terminal, make: Making, shown: set[str]) -> None:
    """In GitHub Actions: annotations on standard error, and the job's summary.

    Its runner reads both streams, and standard output may be a document.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    if "github" not in shown:
        terminal.annotate(make("github", Style()))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with contextlib.suppress(OSError):
            _append(Path(summary), make("markdown", Style()))


def _append(summary: Path, text: str) -> None:
    """As much of the text as the summary has room for."""
    room = SUMMARY_BYTES - (summary.stat().st_size if summary.exists() else 0)
    data = f"{text}\n".encode("utf-8", "replace")
    if len(data) > room:
        told = localized(_CUT).encode()
        end = room - len(told)
        data = data[: max(0, end)] + (told if end >= 0 else b"")
    with summary.open("ab") as file:
        file.write(data)
