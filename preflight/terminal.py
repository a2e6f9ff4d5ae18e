"""The terminal: what is told while a run goes on, and results on standard output."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from preflight.errors import UsageError
from preflight.progress import Progress, ProgressMode, make_progress
from preflight.text import Line, json_text, printable, render_lines


@dataclass(frozen=True, slots=True)
class Terminal:
    """Standard error as the screen that the pipeline talks to; results elsewhere."""

    quiet: bool = False
    mode: ProgressMode = ProgressMode.AUTO

    def say(self, text: str) -> None:
        """One line on standard error, unless --quiet."""
        if not self.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """One line on standard error, in any case."""
        sys.stderr.write(f"{printable(text, limit=4000)}\n")
        sys.stderr.flush()

    def show_lines(self, lines: Iterable[str | Line], *, color: bool = False) -> None:
        """A result for people, on standard output."""
        self.show(render_lines(lines, color=color))

    def show_document(self, value: object) -> None:
        """A result for programs, on standard output."""
        self.show(json_text(value))

    def show(self, text: str) -> None:
        """A result that `text.render_lines` or `json_text` made, on standard output."""
        try:
            # None: the shell closed it (`>&-`).
            if sys.stdout is None:
                raise OSError(errno.EBADF, "it is closed")
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as exc:
            discard(sys.stdout)
            raise UsageError(
                f"cannot write to standard output: {exc.strerror}"
            ) from exc

    def progress(self) -> Progress:
        """A bar on a terminal, a line now and then elsewhere."""
        return make_progress(ProgressMode.OFF if self.quiet else self.mode)


def discard(stream: TextIO | None) -> None:
    """Let nothing more come of a stream that fails, not even when Python ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # type: ignore[union-attr]


def prepare_streams() -> None:
    """Make do with closed standard streams and with terminals that lack letters."""
    # The number of a closed one would go to the next file or socket opened.
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
