"""Progress for logs: a whole line now and then, with the local time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from preflight.progress.meter import Moment
from preflight.progress.timed import TimedProgress
from preflight.progress.words import human_size, human_time

LINE_SECONDS = 30.0  # a log that is read later needs no more
QUICK_SECONDS = 2.0  # a stage that ends sooner is not worth a line


def local_now() -> datetime:
    """The time on this machine, with its offset from UTC."""
    return datetime.now().astimezone()


def share(moment: Moment) -> str:
    """`9.1 GB of 14.6 GB (62 %)`."""
    done, total = human_size(moment.shown), human_size(moment.total)
    return f"{done} of {total} ({moment.percent} %)"


def state(moment: Moment) -> str:
    """How fast, how long still, or that nothing moves."""
    if moment.stalled:
        return f"no byte for {human_time(moment.idle)}"
    words = f"{human_size(moment.rate)}/s"
    left = moment.left
    return words if left is None else f"{words}, {human_time(left)} left"


def kept(moment: Moment) -> str:
    """What need not be sent, where there is any."""
    return f" ({human_size(moment.kept)} were there)" if moment.kept else ""


class LineProgress(TimedProgress):
    """A line every `LINE_SECONDS`, also when nothing moves; one at a stage's end."""

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float],
        *,
        ticking: bool = True,
        now: Callable[[], datetime] = local_now,
    ) -> None:
        super().__init__(clock, LINE_SECONDS, ticking=ticking)
        self._stream, self._now = stream, now

    def tell(self, moment: Moment) -> None:
        """How far it is."""
        file = f", {moment.file}" if moment.file else ""
        self._say(moment, f"{share(moment)}, {state(moment)}{kept(moment)}{file}")

    def ended(self, moment: Moment) -> None:
        """How far it came, unless it was over in no time."""
        if moment.seconds >= QUICK_SECONDS:
            took = human_time(moment.seconds)
            self._say(moment, f"{share(moment)} after {took}{kept(moment)}")

    def _say(self, moment: Moment, words: str) -> None:
        at = self._now().strftime("%Y-%m-%d %H:%M:%S %z")
        self._stream.write(f"{at}  {moment.stage}: {words}\n")
        self._stream.flush()
