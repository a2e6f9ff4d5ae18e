"""The terminal: what is told while a run goes on, and results on standard output."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

from preflight.errors import PreflightError, UsageError
from preflight.hidden import masked
from preflight.language import for_programs, glued, localized, say
from preflight.progress import Progress, ProgressMode, make_progress
from preflight.progress.bar import undrawn
from preflight.progress.events import write_event
from preflight.system_errors import reason_of
from preflight.text import (
    Line,
    folded,
    in_letters_of,
    json_text,
    printable,
    render_lines,
)


@dataclass(frozen=True, slots=True)
class Terminal:
    """Standard error as the screen that the pipeline talks to; results elsewhere.

    `place`: the one of several directories that is spoken of, told with each line.
    """

    quiet: bool = False
    mode: ProgressMode = ProgressMode.AUTO
    color: bool = False
    place: str = ""

    @property
    def width(self) -> int:
        """Columns of the terminal that results go to; 0 where they go elsewhere."""
        stream = sys.stdout
        if stream is None or not stream.isatty():
            return 0
        return shutil.get_terminal_size((80, 24)).columns

    @property
    def height(self) -> int:
        """Lines of the terminal that results go to; 0 where they go elsewhere."""
        return shutil.get_terminal_size((80, 24)).lines if self.width else 0

    @property
    def dies_with_its_line(self) -> bool:
        """Whether this is an SSH session whose end reaches the run, too."""
        over_ssh = any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_TTY"))
        kept = any(os.environ.get(name) for name in ("TMUX", "STY", "ZELLIJ"))
        ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # as nohup asks
        told = unfailing(sys.stderr).isatty()
        return over_ssh and told and not (kept or ignored)

    @staticmethod
    def can_show(text: str) -> bool:
        """Whether standard output has letters for `text`."""
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        try:
            text.encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def say(self, text: str) -> None:
        """One line on standard error, unless --quiet."""
        if not self.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """One line on standard error, in any case; an event if those are wanted."""
        if self.mode is ProgressMode.JSON:
            self.event("message", text=text)
            return
        if self.place:
            text = glued(f"{self.place}: ", text)
        stream = unfailing(sys.stderr)
        # The last door: whatever a server or a library echoed, no secret goes out.
        shown = printable(masked(localized(text)), limit=4000)
        shown = in_letters_of(getattr(stream, "encoding", None) or "ascii", shown)
        with undrawn():
            for line in folded(shown, _width_of(stream)):
                stream.write(f"{line}\n")
            stream.flush()

    def tell(self, error: PreflightError) -> None:
        """What went wrong, what to do about it, and the request that it was."""
        if self.mode is ProgressMode.JSON:
            told = {"message": error.message, "hint": error.hint}
            self.event("error", **told, request_id=error.request_id)
            return
        self.complain(glued("preflight: ", error.message))
        if error.hint:
            self.complain(say("  try  {hint}", hint=error.hint))
        if error.request_id:
            self.complain(say("  request id  {id}", id=error.request_id))

    def event(self, name: str, **values: object) -> None:
        """A line of JSON on standard error, where `--progress json` asks for it."""
        if self.mode is ProgressMode.JSON:
            safe = {key: for_programs(value) for key, value in values.items()}
            if self.place:
                safe = {"directory": self.place, **safe}
            write_event(unfailing(sys.stderr), name, safe)

    def annotate(self, text: str) -> None:
        """Lines for a CI server that reads standard error; none among events."""
        if self.mode is not ProgressMode.JSON:
            stream = unfailing(sys.stderr)
            with undrawn():
                stream.write(masked(text))
                stream.flush()

    def show_lines(self, lines: Iterable[str | Line], *, color: bool = False) -> None:
        """A result for people, on standard output."""
        self.show_text(render_lines(lines, color=color))

    def show_text(self, text: str) -> None:
        """The same, where the lines were rendered already."""
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        self.show(in_letters_of(encoding, text))

    def show_document(self, value: object) -> None:
        """A result for programs, on standard output."""
        self.show(json_text(for_programs(value)))

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
                say("cannot write to standard output: {why}", why=reason_of(exc))
            ) from exc

    def progress(self) -> Progress:
        """A bar on a terminal, a line now and then elsewhere."""
        quiet = self.quiet and self.mode is not ProgressMode.JSON
        mode = ProgressMode.OFF if quiet else self.mode
        return make_progress(mode, stream=unfailing(sys.stderr))


class _Unfailing:
    """Standard error that a run does not end for: it may be closed, full or gone."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()

    def isatty(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else it has
        return getattr(self._stream, name)


def _width_of(stream: TextIO) -> int:
    """Columns of a terminal; 0 of what is none, or does not know its size."""
    if not stream.isatty():
        return 0
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def unfailing(stream: TextIO | None) -> TextIO:
    """The stream, but what cannot be written is dropped: a transfer goes on."""
    return cast("TextIO", _Unfailing(stream))


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
