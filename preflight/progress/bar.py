"""Progress on a terminal: a bar, and below it the file that is on its way."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from threading import Lock
from typing import TextIO

from preflight.progress.lines import state
from preflight.progress.meter import Moment
from preflight.progress.timed import TimedProgress
from preflight.progress.words import human_size
from preflight.text import columns, cut

DRAW_SECONDS = 0.2
_BAR = 13  # columns
_UP, _CLEAR = "\x1b[A", "\r\x1b[K"
_drawing = Lock()
_drawn: list[BarProgress] = []


def undraw() -> None:
    """Take a bar that is drawn off the screen, so that a line can be written there."""
    with _drawing:
        for bar in _drawn:
            bar.erase()


class BarProgress(TimedProgress):
    """Two lines that are drawn over one another while a stage runs."""

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float],
        *,
        ticking: bool = True,
        width: int = 0,
    ) -> None:
        super().__init__(clock, DRAW_SECONDS, ticking=ticking)
        self._stream, self._width, self._lines = stream, width, 0
        encoding = getattr(stream, "encoding", None) or "ascii"
        self._full, self._empty = _letters(encoding)

    def began(self, moment: Moment) -> None:
        """Draw at once: an upload that hangs from the start must be seen, too."""
        _drawn.append(self)
        self.tell(moment)

    def tell(self, moment: Moment) -> None:
        """Draw over what was drawn before."""
        width = self._width or shutil.get_terminal_size((80, 24)).columns
        lines = [cut(self._line(moment, width), width - 1)]
        if moment.file:
            lines.append(cut(f"  {moment.file}", width - 1))
        with _drawing:
            self.erase()
            self._stream.write("\n".join(lines))
            self._lines = len(lines)
            self._stream.flush()

    def erase(self) -> None:
        """Leave nothing of it on the screen; drawn again at the next look."""
        if self._lines:
            self._stream.write(_CLEAR + (_UP + _CLEAR) * (self._lines - 1))
            self._lines = 0
            self._stream.flush()

    def ended(self, moment: Moment) -> None:
        """What is over is told by the report."""
        del moment
        with _drawing:
            self.erase()
            if self in _drawn:
                _drawn.remove(self)

    def _line(self, moment: Moment, width: int) -> str:
        percent = 100 * moment.shown // moment.total if moment.total else 100
        size = f"{human_size(moment.shown)} of {human_size(moment.total)}"
        filled = _BAR * percent // 100
        bar = self._full * filled + self._empty * (_BAR - filled)
        there = f"  ({human_size(moment.kept)} were there)" if moment.kept else ""
        text = f"{moment.stage} {percent:3} %  {bar}  {size}  {state(moment)}"
        return text + there if columns(text + there) < width else text


def _letters(encoding: str) -> tuple[str, str]:
    """What a bar is made of, as far as the stream has letters for it."""
    try:
        "█░".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "#", "."
    return "█", "░"
