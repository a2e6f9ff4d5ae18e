"""`status`: how the last runs on this machine ended, from their records."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from preflight.commands._flags import add_format
from preflight.directories import state_directory
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.report.manual import table
from preflight.terminal import Terminal

_SCHEMA = 1
_SHOWN = 10  # runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs."""
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        type=Path,
        help="a model directory (default: runs of all directories)",
    )
    add_format(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Show the newest runs of a directory, or of all; asks no service."""
    wanted = arguments.directory.resolve() if arguments.directory else None
    runs = _recorded(wanted)[:_SHOWN]
    if not runs:
        where = f" of {arguments.directory}" if arguments.directory else ""
        raise UsageError(
            f"no run{where} is on record on this machine",
            hint="`preflight jobs` asks the service itself",
        )
    if arguments.format == "json":
        document = {"schema": _SCHEMA, "runs": runs}
        terminal.show_document(document)
        return 0
    terminal.show_lines(_table(runs))
    hint = ""
    if error := runs[0].get("error"):
        terminal.show_lines([f"the last one ended with: {error['message']}"])
        if hint := error.get("hint", ""):
            terminal.show_lines([f"  try  {hint}"])
    job = runs[0].get("job") or {}
    further = f"preflight wait {job.get('job_id')}"
    if job.get("status") in ("PENDING", "RUNNING") and further not in hint:
        terminal.show_lines([f"  its job may still run: {further}"])
    return 0


def _recorded(wanted: Path | None) -> list[dict[str, Any]]:
    state = state_directory()
    return [] if isinstance(state, Unavailable) else _runs(state / "runs", wanted)


def _runs(directory: Path, wanted: Path | None) -> list[dict[str, Any]]:
    """The records, newest first; one that cannot be read is left out."""
    found = []
    for path in sorted(directory.glob("*.json"), reverse=True):
        try:
            document = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(document, dict) and _is_of(document, wanted):
            found.append(document)
    return found


def _is_of(document: Mapping[str, Any], wanted: Path | None) -> bool:
    return wanted is None or document.get("path") == str(wanted)


def _table(runs: list[dict[str, Any]]) -> Iterator[str]:
    heading = ("started", "command", "exit", "job", "status", "model", "directory")
    rows = []
    for run in runs:
        job = run.get("job") or {}
        cells = (
            str(run.get("started", ""))[:19].replace("T", " "),
            run.get("command", ""),
            run.get("exit_code", ""),
            job.get("job_id", "-"),
            job.get("status", "-"),
            job.get("model_name", "-"),
            run.get("directory", ""),
        )
        rows.append(tuple(str(cell) for cell in cells))
    return table([heading, *rows])
