"""How far the work is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import json
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from threading import Lock
from types import TracebackType
from typing import Any, TextIO

LINE_SECONDS = 30.0  # a log that is read later needs no more
JSON_SECONDS = 1.0
BAR_SECONDS = 0.5  # nor is a shorter one worth a bar
QUICK_SECONDS = 2.0  # a stage that ends sooner is not worth a line


class ProgressMode(str, Enum):
    """`AUTO` is a bar on a terminal and lines elsewhere."""

    AUTO = "auto"
    BAR = "bar"
    LINES = "lines"
    JSON = "json"
    OFF = "off"


class Progress(ABC):
    """Counts bytes of one stage at a time; safe to advance from several threads.

    Leaving the `with` block ends the stage, also when Ctrl-C ends it.
    """

    @abstractmethod
    def start(self, total: int, label: str) -> None:
        """Begin a stage of `total` bytes; one that still runs is finished first."""

    @abstractmethod
    def advance(self, count: int) -> None:
        """`count` more bytes are done."""

    @abstractmethod
    def finish(self) -> None:
        """End the stage; without one, do nothing."""

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish()


class Counting(Progress):
    """Counts beside another progress; `on_change` hears of (done, total) bytes."""

    def __init__(
        self, shown: Progress, on_change: Callable[[str, int, int], None]
    ) -> None:
        self._shown, self._on_change = shown, on_change
        self._lock = Lock()
        self._label, self._done, self._total = "", 0, 0

    def start(self, total: int, label: str) -> None:
        """Begin to count anew."""
        with self._lock:
            self._label, self._done, self._total = label, 0, total
        self._shown.start(total, label)
        self._on_change(label, 0, total)

    def advance(self, count: int) -> None:
        """Count, and hand it on."""
        with self._lock:
            self._done += count
            label, done, total = self._label, self._done, self._total
        self._shown.advance(count)
        self._on_change(label, done, total)

    def finish(self) -> None:
        """End the other's stage, too."""
        self._shown.finish()


class NoProgress(Progress):
    """Says nothing."""

    def start(self, total: int, label: str) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Say nothing."""

    def finish(self) -> None:
        """Say nothing."""


class BarProgress(Progress):
    """A tqdm bar, for terminals; a stage shorter than `delay` seconds has none."""

    def __init__(self, stream: TextIO, delay: float = BAR_SECONDS) -> None:
        self._stream, self._delay = stream, delay
        self._bar: Any = None
        self._lock = Lock()

    def start(self, total: int, label: str) -> None:
        """Draw a new bar."""
        from tqdm import tqdm

        self.finish()
        self._bar = tqdm(
            total=total,
            desc=label,
            unit="B",
            unit_scale=True,
            unit_divisor=1000,
            file=self._stream,
            dynamic_ncols=True,
            delay=self._delay,
        )

    def advance(self, count: int) -> None:
        """Move the bar."""
        with self._lock:  # tqdm's counter is not thread-safe
            if self._bar is not None:
                self._bar.update(count)

    def finish(self) -> None:
        """Leave the bar as it stands and go to a new line."""
        with self._lock:
            bar, self._bar = self._bar, None
            if bar is not None:
                bar.close()


def human_size(count: float) -> str:
    """Bytes as `999 B`, `1.2 MB`, `14.3 GB` (powers of 1,000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.95 or unit == "GB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError  # the loop always returns


def human_time(seconds: float) -> str:
    """Seconds as `42 s`, `3 min 05 s` or `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


class LineProgress(Progress):
    """A whole line every `LINE_SECONDS`, for logs; one at a longer stage's end."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock
        self._label, self._total, self._done = "", 0, 0
        self._began = self._spoke = 0.0
        self._lock = Lock()

    def start(self, total: int, label: str) -> None:
        """Begin to count; the first line comes after a while, or at the end."""
        self.finish()
        with self._lock:
            self._label, self._total, self._done = label, total, 0
            self._began = self._spoke = self._clock()

    def advance(self, count: int) -> None:
        """Count; say a line when the last one is long enough ago."""
        with self._lock:
            self._done += count
            now = self._clock()
            if self._label and now - self._spoke >= LINE_SECONDS:
                self._spoke = now
                self._say(self._status(now))

    def finish(self) -> None:
        """Say how far the stage came, unless it was over in no time."""
        with self._lock:
            took = self._clock() - self._began
            if self._label and took >= QUICK_SECONDS:
                self._say(f"{self._share()} after {human_time(took)}")
            self._label = ""

    def _share(self) -> str:
        percent = 100 * self._done // self._total if self._total else 100
        done, total = human_size(self._done), human_size(self._total)
        return f"{done} of {total} ({percent}%)"

    def _status(self, now: float) -> str:
        rate = self._done / max(now - self._began, 1e-9)
        words = f"{self._share()}, {human_size(rate)}/s"
        if rate > 0 and self._done < self._total:
            left = human_time((self._total - self._done) / rate)
            words += f", about {left} left"
        return words

    def _say(self, words: str) -> None:
        self._stream.write(f"{self._label}: {words}\n")
        self._stream.flush()


class JsonProgress(Progress):
    """A JSON object a line, for programs: stage, done and total bytes, seconds.

    One at each stage's start and end, and one a second in between.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock
        self._label, self._total, self._done = "", 0, 0
        self._began = self._spoke = 0.0
        self._lock = Lock()

    def start(self, total: int, label: str) -> None:
        """Begin a stage and say so."""
        self.finish()
        with self._lock:
            self._label, self._total, self._done = label, total, 0
            self._began = self._clock()
            self._say()

    def advance(self, count: int) -> None:
        """Count; say it when the last time is long enough ago."""
        with self._lock:
            self._done += count
            if self._label and self._clock() - self._spoke >= JSON_SECONDS:
                self._say()

    def finish(self) -> None:
        """Say how far the stage came."""
        with self._lock:
            if self._label:
                self._say()
                self._label = ""

    def _say(self) -> None:
        self._spoke = self._clock()
        line = {
            "stage": self._label,
            "done": self._done,
            "total": self._total,
            "seconds": round(self._spoke - self._began, 3),
        }
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()


def make_progress(
    mode: ProgressMode = ProgressMode.AUTO,
    *,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """The progress for `stream` (stderr by default); `clock` returns seconds."""
    out = sys.stderr if stream is None else stream
    if mode is ProgressMode.AUTO:
        mode = ProgressMode.BAR if out.isatty() else ProgressMode.LINES
    if mode is ProgressMode.OFF:
        return NoProgress()
    if mode is ProgressMode.JSON:
        return JsonProgress(out, clock)
    return BarProgress(out) if mode is ProgressMode.BAR else LineProgress(out, clock)
