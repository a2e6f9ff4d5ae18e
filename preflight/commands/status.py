"""`status`: what became of the last runs on this machine, from their records."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from preflight.api import settings_reader
from preflight.commands._flags import add_format, add_wide
from preflight.directories import state_directory
from preflight.errors import PreflightError, UsageError
from preflight.findings import Unavailable
from preflight.language import glued, joined, say, say_n
from preflight.pipeline.services import studio_client
from preflight.regular import read_regular
from preflight.report.document import envelope, job_document
from preflight.report.life import Life, LifeState
from preflight.report.tables import table
from preflight.settings import Need
from preflight.studio.imports import ImportApi, ImportJob
from preflight.studio.jobs import read_job
from preflight.terminal import Terminal
from preflight.text import folded

_SHOWN = 10  # runs
_ROOMY = 110  # columns from which on a table shows the year, too


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which runs."""
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        type=Path,
        help=say("a model directory (default: runs of all directories)"),
    )
    parser.add_argument(
        "--offline",
        action="store_true",
        help=say("do not ask how an open job stands now"),
    )
    add_format(parser)
    add_wide(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Show the newest runs of a directory, or of all; asks once for an open job."""
    wanted = arguments.directory.resolve() if arguments.directory else None
    recorded = _recorded(wanted)
    lives = [Life.of(each) for each in recorded.documents[:_SHOWN]]
    if not lives:
        none = say("no run is on record on this machine")
        if arguments.directory:
            none = say(
                "no run of {directory} is on record on this machine",
                directory=arguments.directory,
            )
        raise UsageError(
            joined("; ", [none, *recorded.told()]),
            hint=say(
                "`preflight jobs` asks the service itself, and a push that is "
                "given again goes on with what lies in OSS"
            ),
        )
    job, trouble = (None, "") if arguments.offline else _asked(lives[0])
    if arguments.format == "json":
        terminal.show_document(_document(lives, job, recorded.unreadable))
    else:
        width = 0 if arguments.wide else terminal.width
        if lives[1:]:
            terminal.show_lines([*_table(lives[1:], width), ""])
        for line in _newest(lives[0], job, trouble):
            terminal.show_lines(folded(line, width))
    for sentence in recorded.told():
        terminal.say(say("note: {sentence}", sentence=sentence))
    return 0


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The records of this machine, the newest first.

    `unreadable`: files that hold none, as a machine leaves that lost its power.
    """

    documents: Sequence[dict[str, Any]] = ()
    unreadable: Sequence[Path] = ()

    def told(self) -> Iterator[str]:
        """That some cannot be read, or nothing."""
        if count := len(self.unreadable):
            yield say_n(
                "{count} record cannot be read, perhaps cut short by a crash: {newest}",
                "{count} records cannot be read, perhaps cut short by a crash: "
                "{newest}",
                count=count,
                newest=self.unreadable[0],
            )


def _recorded(wanted: Path | None) -> _Recorded:
    state = state_directory()
    if isinstance(state, Unavailable):
        return _Recorded()
    documents, unreadable = [], []
    for path in sorted((state / "runs").glob("*.json"), reverse=True):
        try:
            document = json.loads(read_regular(path))
        except FileNotFoundError:  # an old one, removed since
            continue
        except (OSError, ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            unreadable.append(path)
        elif _is_of(document, wanted):
            documents.append(document)
    return _Recorded(documents, unreadable)


def _is_of(document: Mapping[str, Any], wanted: Path | None) -> bool:
    return wanted is None or document.get("path") == str(wanted)


def _asked(life: Life) -> tuple[ImportJob | None, str]:
    """How the open job of the newest run stands now, or why that is not known."""
    seen = read_job(life.job, "")
    if seen is None or seen.finished or life.state is LifeState.RUNNING:
        return None, ""
    try:
        settings = settings_reader((Need.STUDIO,))()
        settings.require(Need.STUDIO)
        with studio_client(settings) as client:
            return ImportApi(client).get(seen.job_id, attempts=1), ""
    except PreflightError as error:
        return None, say(
            "the job could not be asked for: {message}", message=error.message
        )


def _newest(life: Life, job: ImportJob | None, trouble: str) -> Iterator[str]:
    yield life.headline()
    error = life.document.get("error")
    told = error if isinstance(error, Mapping) else {}
    if told.get("message"):
        yield say("  it ended with: {message}", message=told["message"])
    if told.get("hint"):
        yield say("  try  {hint}", hint=told["hint"])
    yield from _job_lines(life, job)
    if trouble:
        yield glued("  ", trouble)
    next_step = _next_step(life, job)
    if next_step and next_step not in str(told.get("hint")):
        yield say("next  {command}", command=next_step)


def _job_lines(life: Life, job: ImportJob | None) -> Iterator[str]:
    seen = job or read_job(life.job, "")
    if seen is None:
        return
    error = life.document.get("error")
    ended = str(error.get("message")) if isinstance(error, Mapping) else ""
    if job is None and seen.job_id in ended:
        return
    told = say("  job {job}: {state}", job=seen.job_id, state=seen.told)
    if job is not None:
        told = say("  job {job}: {state} now", job=seen.job_id, state=seen.told)
    if seen.succeeded and seen.model_name:
        told = say("{told}, model {model}", told=told, model=seen.model_name)
    yield glued(told, f" ({seen.error_code})") if seen.error_code else told


def _next_step(life: Life, job: ImportJob | None) -> str:
    """The command that goes on; nothing where there is nothing left to do."""
    seen = job or read_job(life.job, "")
    if life.state is LifeState.RUNNING:
        return ""
    if seen is not None and not seen.finished:
        return f"preflight wait {seen.job_id}"
    if life.state is LifeState.DONE or (seen is not None and seen.succeeded):
        return ""
    return life.command_line


def _document(
    lives: list[Life], job: ImportJob | None, unreadable: Sequence[Path]
) -> dict[str, Any]:
    runs: list[dict[str, Any]] = [
        {**life.document, "state": life.state.value} for life in lives
    ]
    if job is not None:
        runs[0]["job_now"] = job_document(job)
    document = envelope("status", runs=runs)
    if unreadable:
        document["unreadable"] = [str(path) for path in unreadable]
    return document


def _table(lives: list[Life], width: int) -> Iterator[str]:
    offset = datetime.now().astimezone().strftime("%z")
    form, first = "%Y-%m-%d %H:%M", say("when ({offset})", offset=offset)
    if 0 < width < _ROOMY:
        form = "%m-%d %H:%M"
    heading = (
        first,
        say("command"),
        say("state"),
        say("exit"),
        say("model"),
        say("directory"),
    )
    rows = [heading]
    for life in lives:
        when = life.moment
        ended = life.state in (LifeState.DONE, LifeState.FAILED)
        rows.append(
            (
                when.strftime(form) if when else "?",
                str(life.document.get("command", "")),
                life.state.word,
                str(life.document.get("exit_code", "")) if ended else "-",
                str(life.job.get("model_name") or "-"),
                str(life.document.get("directory", "")),
            )
        )
    return table(rows, width, whole=(0, 1, 2, 3, 4), spare=(3, 1))
