"""Jobs as tables show them: the beginnings of their ids, their own time."""

from __future__ import annotations

from datetime import datetime

SHORT = 8  # digits of an id in a table; a UUID begins with as many


def local_time(moment: datetime | None) -> str:
    """The time on this machine's clock, with its offset from UTC."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %z") if moment else ""
