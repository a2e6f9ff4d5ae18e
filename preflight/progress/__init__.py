"""How far the work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO

from preflight.progress.protocol import (
    SENDING,
    Counting,
    NoProgress,
    Progress,
    ProgressMode,
)
from preflight.progress.words import human_size, human_time

__all__ = [
    "SENDING",
    "Counting",
    "NoProgress",
    "Progress",
    "ProgressMode",
    "human_size",
    "human_time",
    "make_progress",
]


def make_progress(
    mode: ProgressMode = ProgressMode.AUTO,
    *,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
    ticking: bool = True,
) -> Progress:
    """The progress for `stream` (stderr by default); `clock` returns seconds.

    Without `ticking` nothing is told but when something moves.
    """
    out = sys.stderr if stream is None else stream
    if mode is ProgressMode.AUTO:
        mode = ProgressMode.BAR if is_drawable(out) else ProgressMode.LINES
    if mode is ProgressMode.BAR:
        from preflight.progress.bar import BarProgress

        return BarProgress(out, clock, ticking=ticking)
    if mode is ProgressMode.LINES:
        from preflight.progress.lines import LineProgress

        return LineProgress(out, clock, ticking=ticking)
    if mode is ProgressMode.JSON:
        from preflight.progress.events import JsonProgress

        return JsonProgress(out, clock, ticking=ticking)
    return NoProgress()


def is_drawable(stream: TextIO) -> bool:
    """Whether a bar can be drawn: a terminal that knows its size and moves a cursor."""
    if not stream.isatty() or os.environ.get("TERM") == "dumb":
        return False
    try:
        return os.get_terminal_size(stream.fileno()).columns > 0
    except (OSError, ValueError):
        return False
