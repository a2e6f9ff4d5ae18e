"""A command in a terminal of its own: what stands on the screen when it is over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

from tests import forked
from tests.running import Process, forkable

LINES = 24
_SECONDS = 60  # no command of the tests takes so long


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


@contextlib.contextmanager
def pseudo_terminal(columns: int, lines: int = LINES) -> Iterator[tuple[int, int]]:
    """Our end and the program's end of a terminal of this size; 0 is an unknown one."""
    ours, theirs = os.openpty()
    size = struct.pack("HHHH", lines, columns, 0, 0)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def show(
    words: Sequence[str],
    env: Mapping[str, str],
    directory: Path,
    *,
    columns: int = 80,
    kill_when: Callable[[], bool] | None = None,
) -> Screen:
    """Run `words` in a terminal of 24 lines and read the screen that it leaves.

    `kill_when` is asked again and again; once it is true, the process is killed.
    """
    with pseudo_terminal(columns) as (ours, theirs):
        process = begin(words, env, str(directory), theirs)
        os.close(theirs)

        def look() -> None:
            if kill_when is not None and kill_when():
                process.kill()

        data = b"".join(pieces(ours, look))
        code = process.wait(timeout=_SECONDS)
    return read_screen(data, code, columns)


def begin(
    words: Sequence[str], env: Mapping[str, str], directory: str, terminal: int
) -> Process:
    """Start a process whose three streams are this terminal."""
    if forkable(list(words), env):
        return forked.spawn(
            words[3:],
            env,
            cwd=directory,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            new_session=True,
        )
    return subprocess.Popen(
        list(words),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=directory,
        env=dict(env),
        close_fds=True,
        start_new_session=True,
        text=True,
    )


def pieces(ours: int, look: Callable[[], None] = lambda: None) -> Iterator[bytes]:
    """What comes from the other end until nobody holds it any more."""
    deadline = time.monotonic() + _SECONDS
    with contextlib.suppress(OSError):  # EIO: the end
        while True:
            look()
            ready, _, _ = select.select([ours], [], [], 0.02)
            if ready:
                if not (piece := os.read(ours, 65536)):
                    return
                yield piece
            assert time.monotonic() < deadline, "it does not end"


def read_screen(data: bytes, code: int, columns: int) -> Screen:
    """The screen that a terminal shows after these bytes."""
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
    (r"\d+ rules passed, \d+ not applicable", "N rules passed, M not applicable"),
    (r"\b\d+ passed$", "N passed"),  # as there are ever more rules
    (r"^[0-9a-f]{8}(?=  )", "JOBSHORT"),
    (r"(?<=preflight jobs )[0-9a-f]{8}", "JOBSHORT"),
    (r"(?<=preflight wait )[0-9a-f]{8}", "JOBSHORT"),
    (r"[\d.]+ k?M?B were sent now, [\d.]+ k?M?B lay", "SOME were sent now, SOME lay"),
    (r"[\d.]+ k?M?B of 1.7 MB are safe in OSS \(\d+ %\)", "SOME of 1.7 MB are safe"),
    # Of Python and of packages: too long for one line, never so for two.
    (r"^ok    preflight .*\n.*$", "ok    VERSIONS"),
)


def settled(text: str) -> str:
    """The screen with what differs from run to run named instead."""
    for pattern, name in _CHANGING:
        text = re.sub(pattern, name, text, flags=re.MULTILINE)
    return text
