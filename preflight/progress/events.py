"""Progress for programs: a JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TextIO

from preflight.hidden import masked_value
from preflight.progress.lines import local_now
from preflight.progress.meter import Moment
from preflight.progress.timed import TimedProgress

JSON_SECONDS = 1.0


def write_event(
    stream: TextIO,
    event: str,
    values: Mapping[str, object],
    now: Callable[[], datetime] = local_now,
) -> None:
    """One event with its local time and offset as one line of JSON, in ASCII."""
    line = {"event": event, "time": now().isoformat(timespec="milliseconds"), **values}
    stream.write(json.dumps(masked_value(line)) + "\n")
    stream.flush()


class JsonProgress(TimedProgress):
    """A `progress` event at each stage's start and end, and every second between."""

    def __init__(
        self,
        stream: TextIO,
        clock: Callable[[], float],
        *,
        ticking: bool = True,
        now: Callable[[], datetime] = local_now,
    ) -> None:
        super().__init__(clock, JSON_SECONDS, ticking=ticking)
        self._stream, self._now = stream, now

    def began(self, moment: Moment) -> None:
        """Nothing is done yet."""
        self.tell(moment)

    def tell(self, moment: Moment) -> None:
        """All that is known of this moment."""
        left = moment.left
        values = {
            "stage": moment.stage,
            "file": moment.file,
            "done": moment.done,
            "moving": moment.moving,
            "kept": moment.kept,
            "total": moment.total,
            "rate": round(moment.rate),
            "seconds": round(moment.seconds, 3),
            "idle": round(moment.idle, 3),
            "left": None if left is None else round(left, 1),
        }
        write_event(self._stream, "progress", values, self._now)

    def ended(self, moment: Moment) -> None:
        """How far it came."""
        self.tell(moment)
