"""Where else weights lie, and the command that would check them."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime, timezone

from preflight.catalog.service import LORA_REQUIRED
from preflight.catalog.uploadable import is_full_weights
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.files import FileEntry, Walk
from preflight.model.identity import Identity
from preflight.model.location import Location
from preflight.text import shortened

ADAPTER = say("an adapter")
_LONGEST = 2000  # characters of a command; more than any path


@dataclass(frozen=True, slots=True)
class Subdirectory:
    """A folder with weights: its path, a weight file in it, what and when."""

    folder: str
    weights: str
    what: str
    saved: str


def command(
    location: Location,
    requested: Identity | Unavailable,
    weight_type: WeightType | None = None,
) -> str:
    """The command line that checks a place, fit to be pasted into a shell.

    A base that was asked for is asked for again.
    """
    chosen = ["--weight-type", weight_type.value] if weight_type else []
    if isinstance(requested, Identity):
        chosen += ["--base-model", requested.given]
    line = shlex.join(["preflight", "check", location.shown, *chosen])
    return shortened(line, _LONGEST)


def _what(name: str) -> str:
    if name == LORA_REQUIRED[0]:
        return ADAPTER
    return say("full weights") if is_full_weights(name) else ""


def _is_hidden(entry: FileEntry) -> bool:
    return any(part.startswith(".") for part in entry.name.split("/"))


def subdirectories(walk: Walk) -> tuple[Subdirectory, ...]:
    """The sub-directories with weights, the newest first; empty files do not count."""
    newest: dict[tuple[str, str], FileEntry] = {}
    for entry in walk.entries:
        what = _what(entry.path.name)
        if entry.at_top or not what or not entry.is_file or not entry.size:
            continue
        key = (entry.name.rpartition("/")[0], what)
        if not _is_hidden(entry) and (
            key not in newest or entry.mtime_ns > newest[key].mtime_ns
        ):
            newest[key] = entry
    ordered = sorted(newest.items(), key=lambda item: -item[1].mtime_ns)
    return tuple(
        Subdirectory(folder, entry.name, what, _time(entry.mtime_ns))
        for (folder, what), entry in ordered
    )


def _time(nanoseconds: int) -> str:
    try:
        moment = datetime.fromtimestamp(nanoseconds / 1e9, tz=timezone.utc)
    except (OverflowError, ValueError, OSError):
        return say("at an unknown time")
    return moment.strftime("%Y-%m-%d %H:%M UTC")
