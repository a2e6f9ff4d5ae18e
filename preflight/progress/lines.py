"""Progress for logs: a whole line now and then, with the local time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from preflight.language import glued, known, localized, say
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
    return say(
        "{done} of {total} ({percent} %)",
        done=done,
        total=total,
        percent=moment.percent,
    )


def state(moment: Moment) -> str:
    """How fast, how long still, or that nothing moves."""
    if moment.stalled:
        return say("no byte for {time}", time=human_time(moment.idle))
    words = f"{human_size(moment.rate)}/s"
    left = moment.left
    if left is None:
        return words
    return say("{rate}, {time} left", rate=words, time=human_time(left))


def kept(moment: Moment) -> str:
    """What need not be sent, where there is any."""
    return (
        say(" ({size} were there)", size=human_size(moment.kept)) if moment.kept else ""
    )


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
        told = glued(share(moment), ", ", state(moment), kept(moment), file)
        self._say(moment, told)

    def ended(self, moment: Moment) -> None:
        """How far it came, unless it was over in no time."""
        if moment.seconds >= QUICK_SECONDS:
            took = human_time(moment.seconds)
            told = say("{share} after {time}", share=share(moment), time=took)
            self._say(moment, glued(told, kept(moment)))

    def _say(self, moment: Moment, words: str) -> None:
        at = self._now().strftime("%Y-%m-%d %H:%M:%S %z")
        line = glued(f"{at}  ", known(moment.stage), ": ", words, "\n")
        self._stream.write(localized(line))
        self._stream.flush()
