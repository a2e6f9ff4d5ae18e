"""What an upload will take, told before it begins: files, parts, times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from preflight.language import joined, say, say_n
from preflight.progress import human_size, human_time
from preflight.upload.parts import TransferOptions, part_size, wanted_part
from preflight.upload.plan import Excluded, UploadPlan

_RATES = (200, 50, 10)  # MB/s: within a region, a good line, a usual one
_QUICK = 500_000_000  # bytes; what is smaller takes no time that one must know


def forecast(plan: UploadPlan, options: TransferOptions) -> Iterator[str]:
    """Lines for people: what goes where in which parts, and how long that takes."""
    sizes = [item.size for item in plan.items]
    step = max((part_size(n, wanted_part(sizes, options)) for n in sizes), default=1)
    wanted = wanted_part(sizes, options)
    parts = sum(max(1, -(-size // part_size(size, wanted))) for size in sizes)
    yield say(
        "plan  {files}, {size}, to {url}",
        files=say_n("{count} file", "{count:,} files", count=len(sizes)),
        size=human_size(plan.total_bytes),
        url=plan.destination.url,
    )
    if parts > len(sizes):
        count = options.worker_count
        yield say(
            "      {parts:,} parts of at most {size}, {connections}",
            parts=parts,
            size=human_size(step),
            connections=say("{count} connections", count=count)
            if options.workers
            else say("{count} connections at first, as many as help", count=count),
        )
    if plan.total_bytes >= _QUICK:
        times = (
            say(
                "{time} at {rate} MB/s",
                time=human_time(plan.total_bytes / (rate * 1e6)),
                rate=rate,
            )
            for rate in _RATES
        )
        yield say("time  {times}", times=joined(", ", tuple(times)))
    if plan.excluded:
        yield say_n(
            "not needed  {count} file, {size} ({why})",
            "not needed  {count:,} files, {size} ({why})",
            count=len(plan.excluded),
            size=human_size(sum(left.size for left in plan.excluded)),
            why=_reasons(plan.excluded),
        )


def _reasons(excluded: Sequence[Excluded]) -> str:
    """Why they stay, each reason once, the first three."""
    reasons = tuple(dict.fromkeys(left.reason for left in excluded))
    shown, more = joined("; ", reasons[:3]), len(reasons) - 3
    if more <= 0:
        return shown
    return say("{shown} and {more} more reasons", shown=shown, more=more)
