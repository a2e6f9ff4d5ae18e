"""Progress on a terminal: a bar, and below it the file that is on its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

from preflight.language import glued, known, localized, say
from preflight.progress.lines import kept, state
from preflight.progress.meter import Moment
from preflight.progress.protocol import SENDING
from preflight.progress.timed import TimedProgress
from preflight.progress.words import human_size

if TYPE_CHECKING:
    from preflight.progress.drawn import DrawnLine

DRAW_SECONDS = 0.2
_running: list[BarProgress] = []


@contextmanager
def undrawn() -> Iterator[None]:
    """Take bars off the screen while the block writes there; draw them again after."""
    with ExitStack() as stack:
        for bar in tuple(_running):
            stack.enter_context(bar.undrawn())
        yield


class BarProgress(TimedProgress):
    """Lines that tqdm draws over one another while a stage runs.

    `width`: so many columns, whatever the terminal says of itself.
    """

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float],
        *,
        ticking: bool = True,
        width: int = 0,
    ) -> None:
        super().__init__(clock, DRAW_SECONDS, ticking=ticking)
        self._stream, self._width = stream, width
        self._lines: list[DrawnLine] = []

    def began(self, moment: Moment) -> None:
        """Draw an upload at once: one that hangs from the start must be seen, too.

        Other stages are often over before the first look, and tqdm never needed.
        """
        _running.append(self)
        if moment.stage == SENDING:
            self.tell(moment)

    def tell(self, moment: Moment) -> None:
        """Draw over what was drawn before."""
        size = say(
            "{done} of {total}",
            done=human_size(moment.shown),
            total=human_size(moment.total),
        )
        bar = self._line(0)
        bar.n = moment.percent
        bar.desc = f"{localized(known(moment.stage))} {moment.percent:3} %"
        bar.words = localized(glued(size, "  ", state(moment)))
        bar.more = localized(kept(moment))
        bar.refresh()
        if moment.file or len(self._lines) > 1:
            file = self._line(1)
            file.desc = f"  {moment.file}"
            file.refresh()

    def _line(self, number: int) -> DrawnLine:
        from preflight.progress.drawn import DrawnLine

        while len(self._lines) <= number:
            position = len(self._lines)
            self._lines.append(DrawnLine(self._stream, position, self._width))
        return self._lines[number]

    @contextmanager
    def undrawn(self) -> Iterator[None]:
        """Nothing of it is on the screen while the block runs."""
        with ExitStack() as stack:
            for line in self._lines[:1]:  # speaks for all lines on this stream
                stack.enter_context(line.external_write_mode(file=self._stream))
            yield

    def ended(self, moment: Moment) -> None:
        """Leave nothing of it on the screen: what is over is told by the report."""
        del moment
        while self._lines:
            self._lines.pop().close()
        if self in _running:
            _running.remove(self)
