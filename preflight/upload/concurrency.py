"""How many workers send at once: as many as asked, or as many as make it faster.

How fast a connection is and how many a link bears is not known before it is used: a
region's own network is filled by a few connections, a distant one by dozens, and a
service that is asked for too much refuses. So the number is doubled while that makes
the transfer faster, and taken back when it does not; less when requests are refused;
and tried anew now and then, as links change, and at once when the rate breaks down.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import Protocol

from preflight.clock import Clock, SystemClock

MAX_WORKERS = 64

# Seconds: a new number settles (connections open, socket buffers fill) before its rate
# is measured; a number that was found good rests before another one is tried, and
# twice as long after each try in vain: it costs a third of the rate while it lasts.
_SETTLE, _MEASURE, _REST, _LONG_REST = 0.5, 1.0, 10.0, 80.0
_HASTE = 0.5  # of these times, until a number was found at all: begin quickly
_GAIN = 1.1  # more workers must make it so many times as fast
_LOSS = 0.97  # fewer workers are better at this rate already: they cost less
_SLOWER, _FASTER = 0.6, 1.3  # times the rate held: the link is another one now
# Below so many times the rate held, for so many seconds, nobody waits for the end of a
# measure: while 16 connections do the work of 64, a quarter of the time is lost.
_FALLEN, _FALLEN_FOR = 0.35, 0.5
# A worker fills the system's buffers when it begins a part, and waits for them to drain
# at its end: a rate that is measured for less than a part's time is half chance. Up to
# so many seconds it is measured, but not in haste, where doubling shows through.
_LONGEST = 8.0
_FEW_BYTES = 8 << 20  # that were to move meanwhile; blocks come in lumps of up to 1 MiB
_LEAP = 4  # times the workers, then: doubling twice would cost a measure more
_CUT = 0.7  # what is left of the workers when requests are refused
_NEAR, _FAR = 0.010, 0.100  # seconds until an answer: within a region, overseas


class Concurrency(Protocol):
    """How many workers may send at this moment."""

    @property
    def most(self) -> int:
        """How many there may come to be."""

    @property
    def now(self) -> int:
        """How many workers may take another job."""

    def begin(self, moved: int) -> None:
        """Jobs begin; `moved` bytes went out so far."""

    def look(self, moved: int) -> None:
        """Called a few times a second: `moved` bytes went out so far."""

    def took(self, seconds: float) -> None:
        """One more part was sent, and it took so long, its answer included."""

    def refused(self) -> None:
        """A request failed for now: refused, timed out, cut off."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """So many workers, always."""

    most: int

    @property
    def now(self) -> int:
        """All of them."""
        return self.most

    def begin(self, moved: int) -> None:
        """Nothing is to be found."""

    def look(self, moved: int) -> None:
        """Nothing is to be found."""

    def took(self, seconds: float) -> None:
        """Nothing is to be found."""

    def refused(self) -> None:
        """The number stays, as it was asked for."""


def first_workers(latency: float | None) -> int:
    """How many to begin with, from the seconds until OSS answers; None: not known.

    Whoever waits for answers leaves the link idle, and a link that bears less says so
    soon. Near by, more workers than a few cores can serve get into each other's way.
    """
    if latency is None or latency < _NEAR:
        return 8 if (os.cpu_count() or 1) > 4 else 4
    return 32 if latency < _FAR else 48


class Found:
    """The number that makes the transfer fastest, looked for while it runs.

    Bytes count when they are handed to the system. Safe to use from several threads.
    """

    def __init__(
        self, first: int = 4, most: int = MAX_WORKERS, clock: Clock | None = None
    ) -> None:
        self.most = most
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._now = self._good = min(first, most)
        self._held: float | None = None  # bytes/s that the good number makes
        self._changed = 0  # looks in a row that found another rate
        self._last: tuple[float, int] | None = None  # when was looked; bytes
        self._low_from: tuple[float, int] | None = None  # since when it is fallen
        self._rest_for = _REST  # seconds
        self._last_cut = float("-inf")
        self._refused_at = most + 1  # workers
        self._rests_until = 0.0
        self._pace = _HASTE
        self._part = 0.0  # seconds that one took lately
        self._tries_fewer = False
        self._from: tuple[float, int] | None = None  # when the measure began; bytes
        self._settled = self._clock.now() + _SETTLE * _HASTE

    @property
    def now(self) -> int:
        """How many workers may take another job."""
        return self._now

    def start_with(self, first: int) -> None:
        """Begin with another number: something was learned of the way."""
        with self._lock:
            self._now = self._good = min(first, self.most)

    def begin(self, moved: int) -> None:
        """Jobs begin: what was measured before a pause says nothing."""
        del moved
        with self._lock:
            self._settle()

    def look(self, moved: int) -> None:
        """Measure; and when there is a result, decide."""
        with self._lock:
            now = self._clock.now()
            if self._has_fallen(moved, now):
                return
            if self._from is None:
                if now >= self._settled:
                    self._from = now, moved
                return
            since, before = self._from
            if now - since < self._long_enough():
                return
            self._from = now, moved
            if moved > before:  # else nothing moves at all, and no number mends that
                self._decide((moved - before) / (now - since), now)

    def took(self, seconds: float) -> None:
        """One more part was sent, and it took so long, its answer included."""
        with self._lock:
            self._part += 0.2 * (seconds - self._part)

    def refused(self) -> None:
        """Fewer from now on, once for all that is refused at about the same time."""
        with self._lock:
            now = self._clock.now()
            if now - self._last_cut < _SETTLE + _MEASURE:
                return
            self._last_cut, self._refused_at = now, self._now
            self._rest_for = _REST
            tried_more = self._now > self._good
            self._good = self._good if tried_more else max(1, int(self._good * _CUT))
            self._use(self._good)
            self._held = None
            self._rests_until = now + (_REST if tried_more else _MEASURE)

    def _has_fallen(self, moved: int, now: float) -> bool:
        """Whether the rate broke down; then another number is tried."""
        last, self._last = self._last, (now, moved)
        if last is None or self._held is None or self._now != self._good:
            self._low_from = None
            return False
        if moved - last[1] >= _FALLEN * self._held * (now - last[0]):
            self._low_from = None
            return False
        # The link may have changed between two looks: of what moved since the one
        # before, some went at the old rate, with which more workers never compare.
        self._low_from = self._low_from or (now, moved)
        since, before = self._low_from
        # When nothing moves at all, no number mends that.
        long_enough = max(_FALLEN_FOR, min(_LONGEST, self._part) / 2)
        if now - since < long_enough or moved == before:
            return False
        if self._held * (now - since) < _FEW_BYTES:
            return False
        self._held, self._changed = (moved - before) / (now - since), 0
        self._pace, self._rest_for = _HASTE, _REST
        self._try_more(now, times=_LEAP)
        return True

    def _long_enough(self) -> float:
        """Seconds of a measure."""
        if self._pace < 1:
            return _MEASURE * self._pace
        return max(_MEASURE, min(_LONGEST, self._part))

    def _settle(self) -> None:
        self._from = self._last = self._low_from = None
        self._settled = self._clock.now() + _SETTLE * self._pace

    def _use(self, number: int) -> None:
        self._now = max(1, min(number, self.most))
        self._settle()

    def _decide(self, rate: float, now: float) -> None:
        if self._now > self._good:
            self._judge_more(rate, now)
        elif self._now < self._good:
            self._judge_fewer(rate, now)
        else:
            self._judge_good(rate, now)

    def _judge_more(self, rate: float, now: float) -> None:
        if self._held is None or rate >= self._held * _GAIN:
            self._good, self._held = self._now, rate
            if self._now >= self._refused_at:
                self._refused_at = self.most + 1  # it is not refused any more
            self._rest_for = _REST
            self._try_more(now)
        else:
            self._rest(now)

    def _judge_fewer(self, rate: float, now: float) -> None:
        if self._held is None or rate >= self._held * _LOSS:
            self._good, self._held = self._now, rate
            self._rest_for = _REST
            self._try_fewer(now)
        else:
            self._rest(now)

    def _judge_good(self, rate: float, now: float) -> None:
        if self._held is None:
            self._held = rate
            if now >= self._rests_until:
                self._try_more(now)
            return
        if not _SLOWER <= rate / self._held <= _FASTER:
            self._changed += 1
            if self._changed >= 2:  # one look alone may be a hiccup
                self._changed, self._held = 0, rate
                self._rest_for = _REST
                self._try_more(now)
            return
        self._changed = 0
        self._held += 0.3 * (rate - self._held)
        if now >= self._rests_until:
            self._tries_fewer = not self._tries_fewer
            (self._try_fewer if self._tries_fewer else self._try_more)(now)

    def _try_more(self, now: float, times: int = 2) -> None:
        # Up to where requests were refused before one goes in small steps.
        more = min(self._good * times, self.most)
        if more >= self._refused_at:
            more = self._good + max(1, self._good // 8)
        if self._good >= self.most:
            self._rest(now)
        else:
            self._use(more)

    def _try_fewer(self, now: float) -> None:
        if self._good <= 2:  # with one alone the link idles between two parts
            self._try_more(now)
        else:
            self._use(self._good * 2 // 3)

    def _rest(self, now: float) -> None:
        self._pace, self._rests_until = 1.0, now + self._rest_for
        if self._now != self._good:
            self._rest_for = min(2 * self._rest_for, _LONG_REST)
            self._use(self._good)
