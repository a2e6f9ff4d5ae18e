"""A command in a terminal of its own: what stands on the screen when it is over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

LINES = 24


@dataclass(frozen=True, slots=True)
class Screen:
    """The exit code, the last screen, and how many lines scrolled away above it."""

    code: int
    lines: tuple[str, ...]
    scrolled: int

    @property
    def text(self) -> str:
        """The screen as lines, without the empty ones at its end."""
        return "".join(f"{line}\n" for line in self.lines)


def show(
    words: Sequence[str],
    env: Mapping[str, str],
    directory: Path,
    *,
    columns: int = 80,
) -> Screen:
    """Run `words` in a terminal of 24 lines and read the screen that it leaves."""
    ours, theirs = os.openpty()
    size = struct.pack("HHHH", LINES, columns, 0, 0)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    process = subprocess.Popen(
        list(words),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=directory,
        env=dict(env),
        close_fds=True,
        start_new_session=True,
    )
    os.close(theirs)
    data = b""
    with contextlib.suppress(OSError):  # EIO: nobody holds the other end any more
        while piece := os.read(ours, 65536):
            data += piece
    os.close(ours)
    code = process.wait(timeout=60)
    terminal = pyte.HistoryScreen(columns, LINES, history=10_000)
    pyte.ByteStream(terminal).feed(data)
    lines = [line.rstrip() for line in terminal.display]
    while lines and not lines[-1]:
        lines.pop()
    return Screen(code, tuple(lines), len(terminal.history.top))


_CHANGING = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? \(?[+-]\d{4}\)?", "TIME"),
    # A line that the terminal breaks may break inside of an id.
    (r"(?:[0-9a-f]\n?){8}(?:-\n?(?:[0-9a-f]\n?){4}){3}-\n?(?:[0-9a-f]\n?){11}.", "JOB"),
    (r"-offline\n?-\n?(?:\d\n?){8}-\n?(?:\w\n?){3}\w", "-offline-DATE-NAME"),
    (r"http://127\.0\.0\.1:\d+", "http://HOST"),
    (r"(?<=  )\d\d-\d\d \d\d:\d\d$", "DAY TIME"),
    (r"^\d\d-\d\d \d\d:\d\d(?=  )", "DAY TIME"),
    (r"\b(after|in|within|waited) \d+ s\b", r"\1 N s"),
    (r"request id .*", "request id ID"),
    (r"^[0-9a-f]{8}(?=  )", "JOBSHORT"),
    # Of Python and of packages: too long for one line, never so for two.
    (r"^ok    preflight .*\n.*$", "ok    VERSIONS"),
)


def settled(text: str) -> str:
    """The screen with what differs from run to run named instead."""
    for pattern, name in _CHANGING:
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text
