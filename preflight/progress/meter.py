"""What is known of a stage at a moment: bytes done, moving, there before; the rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from preflight.progress.protocol import SENDING

RATE_SECONDS = 10.0  # the rate is that of so many last seconds
STALL_SECONDS = 10.0  # without a byte: it is told


@dataclass(frozen=True, slots=True)
class Moment:
    """A stage at one moment, all but `rate` (bytes a second) and times in bytes.

    `done` counts what is safe, `moving` what is on its way besides, `kept` what lay
    there before this run. `idle`: seconds since the last byte moved; `left`: seconds
    that are still needed at this rate, None where that cannot be told.
    """

    stage: str
    file: str
    total: int
    done: int
    moving: int
    kept: int
    rate: float
    seconds: float
    idle: float

    @property
    def shown(self) -> int:
        """What people are shown as done."""
        return min(self.total, self.done + self.moving)

    @property
    def percent(self) -> int:
        """How much of all that is; 100 not before the last byte."""
        return 100 * self.shown // self.total if self.total else 100

    @property
    def left(self) -> float | None:
        """Seconds to the end."""
        if self.rate <= 0 or self.shown >= self.total:
            return None
        return (self.total - self.shown) / self.rate

    @property
    def stalled(self) -> bool:
        """Whether nothing moved for a while though there is something left."""
        return self.idle >= STALL_SECONDS and self.done < self.total


class Meter:
    """Counts one stage at a time; safe to use from several threads.

    `clock` returns seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._reset("", 0)

    def _reset(self, stage: str, total: int) -> None:
        now = self._clock()
        self._stage, self._total, self._file = stage, total, ""
        self._done = self._sent = 0
        self._moving: dict[tuple[str, int], int] = {}
        self._began = self._moved = now
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])

    @property
    def stage(self) -> str:
        """The stage that runs; empty when there is none."""
        return self._stage

    def start(self, total: int, stage: str) -> None:
        """Begin to count anew."""
        with self._lock:
            self._reset(stage, total)

    def advance(self, count: int) -> None:
        """More is done."""
        with self._lock:
            self._done += count
            self._touch()

    def sent(self, count: int) -> None:
        """More was sent by this run."""
        with self._lock:
            self._sent += count
            self._touch()

    def flow(self, file: str, part: int, count: int) -> None:
        """So much of a part is on its way."""
        with self._lock:
            self._file = file
            if count:
                self._moving[(file, part)] = count
            else:
                self._moving.pop((file, part), None)
            self._touch()

    def _touch(self) -> None:
        self._moved = self._clock()

    def end(self) -> None:
        """No stage runs any more."""
        with self._lock:
            self._stage = ""

    def look(self) -> Moment:
        """The stage now; the rate is taken between looks."""
        with self._lock:
            now = self._clock()
            sending = self._stage == SENDING
            moving = min(sum(self._moving.values()), max(0, self._total - self._done))
            mine = self._sent + moving if sending else self._done
            kept = max(0, self._done - self._sent) if sending else 0
            return Moment(
                self._stage,
                self._file,
                self._total,
                self._done,
                moving,
                kept,
                self._rate(now, mine),
                now - self._began,
                now - self._moved,
            )

    def _rate(self, now: float, mine: int) -> float:
        self._samples.append((now, mine))
        while len(self._samples) > 2 and now - self._samples[1][0] >= RATE_SECONDS:
            self._samples.popleft()
        since, before = self._samples[0]
        return max(0.0, mine - before) / (now - since) if now > since else 0.0
