"""One progress over the uploads of several directories."""

from __future__ import annotations

from threading import Lock

from preflight.progress.protocol import SENDING, Progress

# Bytes that are compared with what lies there are bytes that need not be sent.
_COUNTED = (SENDING, "comparing")


class SharedProgress:
    """Counts what several do, each in its share, as one stage of `total` bytes."""

    def __init__(self, shown: Progress, total: int) -> None:
        self._shown = shown
        shown.start(total, SENDING)

    def share(self, place: str) -> Progress:
        """What counts for one of them; `place` stands before the names of its files."""
        return _Share(self._shown, place)

    def finish(self) -> None:
        """All are done, or it is over."""
        self._shown.finish()


class PlacedProgress(Progress):
    """A progress that names the place that it is about, for stages without files."""

    def __init__(self, shown: Progress, place: str) -> None:
        self._shown, self._place = shown, place

    def start(self, total: int, label: str) -> None:
        """Begin, and name it."""
        self._shown.start(total, label)
        self._shown.flow(self._place, 0, 0)

    def advance(self, count: int) -> None:
        """Hand it on."""
        self._shown.advance(count)

    def finish(self) -> None:
        """End the stage."""
        self._shown.finish()


class _Share(Progress):
    """The stages of one upload, of which the whole shows how many bytes are there."""

    def __init__(self, shown: Progress, place: str) -> None:
        self._shown, self._place = shown, place
        self._lock = Lock()
        self._counts, self._done = False, 0
        self._flows: set[tuple[str, int]] = set()

    def start(self, total: int, label: str) -> None:
        """Begin anew: what an earlier stage counted is counted by this one."""
        del total
        with self._lock:
            if label in _COUNTED:
                self._shown.advance(-self._done)
                self._done = 0
            self._counts = label in _COUNTED

    def advance(self, count: int) -> None:
        """Count."""
        with self._lock:
            if self._counts:
                self._done += count
                self._shown.advance(count)

    def sent(self, count: int) -> None:
        """Hand it on."""
        self._shown.sent(count)

    def flow(self, file: str, part: int, count: int) -> None:
        """Hand it on, the file by its place."""
        where = f"{self._place}/{file}"
        with self._lock:
            (self._flows.add if count else self._flows.discard)((where, part))
        self._shown.flow(where, part, count)

    def finish(self) -> None:
        """Nothing of it is on its way any more."""
        with self._lock:
            flows, self._flows = self._flows, set()
        for where, part in flows:
            self._shown.flow(where, part, 0)
