"""What tells of a stage by the clock, also when nothing moves."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, RLock, Thread

from preflight.progress.meter import Meter, Moment
from preflight.progress.protocol import Progress

_LOOKS = 0.5  # seconds between two looks, so that the rate is that of this moment


class TimedProgress(Progress):
    """Counts, and tells of it every `period` seconds from a thread of its own.

    `clock` returns seconds; without `ticking` somebody else calls `tick`.
    """

    def __init__(
        self, clock: Callable[[], float], period: float, *, ticking: bool = True
    ) -> None:
        self._clock, self._period, self._ticking = clock, period, ticking
        self._meter = Meter(clock)
        self._telling = RLock()
        self._spoke = 0.0
        self._over: Event | None = None

    def start(self, total: int, label: str) -> None:
        """Begin a stage and the thread that tells of it."""
        self.finish()
        self._meter.start(total, label)
        self._spoke = self._clock()
        self.began(self._meter.look())
        if self._ticking:
            self._over = Event()
            looks = min(_LOOKS, self._period)
            thread = Thread(target=self._run, args=(self._over, looks), daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread can be had: told when something moves
                self._over = None

    def _run(self, over: Event, looks: float) -> None:
        while not over.wait(looks):
            self.tick()

    def tick(self) -> None:
        """Look, and tell of it when it is time."""
        with self._telling:
            moment = self._meter.look()
            if moment.stage and self._clock() - self._spoke >= self._period:
                self._spoke = self._clock()
                self.tell(moment)

    def advance(self, count: int) -> None:
        """Count."""
        self._meter.advance(count)
        self._moved()

    def sent(self, count: int) -> None:
        """Count what this run sent."""
        self._meter.sent(count)

    def flow(self, file: str, part: int, count: int) -> None:
        """Note what is on its way."""
        self._meter.flow(file, part, count)
        self._moved()

    def _moved(self) -> None:
        if self._over is None:  # nobody else looks
            self.tick()

    def finish(self) -> None:
        """End the stage and its thread."""
        over, self._over = self._over, None
        if over is not None:
            over.set()
        with self._telling:
            if self._meter.stage:
                moment = self._meter.look()
                self._meter.end()
                self.ended(moment)

    def began(self, moment: Moment) -> None:
        """A stage began."""

    def tell(self, moment: Moment) -> None:
        """It is time to tell."""

    def ended(self, moment: Moment) -> None:
        """The stage is over, or was broken off."""
