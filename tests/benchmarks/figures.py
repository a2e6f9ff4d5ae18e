"""What was measured, as lines to read and as JSON to keep."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

_HEADS = (
    "x oss2",
    "x plain",
    "CPU s/GB",
    "receiver",
    "GB/s",
    "from..to",
    "start s",
    "peak MB",
)
_WIDTHS = (8, 9, 10, 10, 8, 14, 9, 9)


@dataclass(frozen=True, slots=True)
class Figures:
    """One uploader, in medians of rounds.

    `times_oss2`, `times_plain`: how many times as fast as `oss2.resumable_upload` and
    as plain sockets with as many connections. `cpu`: CPU seconds of the upload per GB,
    in the sending process alone; `receiver_cpu`: those of the receiving processes.
    Speeds in GB/s. `start`: CPU seconds before the upload. `peak`: bytes of memory.
    """

    title: str
    times_oss2: float
    times_plain: float
    cpu: float
    receiver_cpu: float
    speed: float
    slowest: float
    fastest: float
    start: float
    peak: int

    def as_json(self) -> dict[str, object]:
        """All of it, with as many digits as mean anything."""
        rounded = {
            name: round(value, 3)
            for name, value in asdict(self).items()
            if isinstance(value, float)
        }
        return {**asdict(self), **rounded}


def upload_lines(rows: Sequence[Figures]) -> Iterator[str]:
    """A table, ratios first."""
    widest = max(len(row.title) for row in rows)
    yield " " * widest + _aligned(_HEADS)
    for row in rows:
        cells = (
            f"{row.times_oss2:.2f}",
            f"{row.times_plain:.2f}",
            f"{row.cpu:.2f}",
            f"{row.receiver_cpu:.2f}",
            f"{row.speed:.3f}",
            f"{row.slowest:.3f}..{row.fastest:.3f}",
            f"{row.start:.2f}",
            f"{row.peak / 1e6:.0f}",
        )
        yield row.title.ljust(widest) + _aligned(cells)


def _aligned(cells: Sequence[str]) -> str:
    return "".join(
        text.rjust(width) for text, width in zip(cells, _WIDTHS, strict=True)
    )


def said(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
