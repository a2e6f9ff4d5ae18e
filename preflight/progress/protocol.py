"""Who is told how far the work is, and what of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from threading import Lock
from types import TracebackType

SENDING = "uploading"
"""The stage whose bytes go to OSS: of these some may lie there already."""


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

    def sent(self, count: int) -> None:  # noqa: B027 - few need it
        """`count` bytes of what is done, or soon is, were sent by this very run."""

    def flow(self, file: str, part: int, count: int) -> None:  # noqa: B027 - the same
        """So many bytes of a part of `file` are on their way; 0 when none is any more.

        The number replaces the one told before for the same part: a part that is sent
        again begins anew.
        """

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

    def sent(self, count: int) -> None:
        """Hand it on."""
        self._shown.sent(count)

    def flow(self, file: str, part: int, count: int) -> None:
        """Hand it on."""
        self._shown.flow(file, part, count)

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
