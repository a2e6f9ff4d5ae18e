"""The files of an upload, for people: what went where, and what stayed behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from preflight.pipeline.uploaded import Uploaded
from preflight.progress import human_size
from preflight.record import RunRecord
from preflight.upload.plan import UploadPlan

_SHOWN = 8  # files; --verbose shows all


def upload_lines(record: RunRecord, *, verbose: bool) -> Iterator[str]:
    """The upload, or what it would be; nothing if there is neither."""
    limit = None if verbose else _SHOWN
    if (done := record.uploaded) is not None:
        yield _uploaded(done)
        sums = {each.key: each.crc64 for each in done.manifest.objects}
        yield from _files(done.plan, sums if done.verified and verbose else {}, limit)
        yield from _left_behind(done.plan, limit)
    elif record.dry_run and record.planned is not None:
        plan = record.planned.plan
        yield f"would upload {_counted(plan)}, to {plan.destination.url}"
        yield from _files(plan, {}, limit)
        yield from _left_behind(plan, limit)


def _counted(plan: UploadPlan) -> str:
    return f"{len(plan.items)} files, {human_size(plan.total_bytes)}"


def _uploaded(done: Uploaded) -> str:
    """What a run that found everything, or half of it, did is not called an upload."""
    plan, where, whole = done.plan, done.plan.destination.url, done.plan.total_bytes
    if done.sent == 0:
        return f"nothing to send: {_counted(plan)}, lay at {where} already"
    if done.sent >= whole:
        return f"uploaded {_counted(plan)}, to {where}"
    return (
        f"uploaded {_counted(plan)}, to {where}: {human_size(done.sent)} were sent "
        f"now, {human_size(whole - done.sent)} lay there already"
    )


def _files(
    plan: UploadPlan, sums: Mapping[str, int], limit: int | None
) -> Iterator[str]:
    shown = plan.items[:limit]
    width = max((len(item.name) for item in shown), default=0)
    for item in shown:
        crc = f"  crc64 {sums[item.key]}" if item.key in sums else ""
        yield f"  {item.name:{width}}  {item.size:>15,} bytes{crc}"
    yield from _more(len(plan.items) - len(shown))


def _left_behind(plan: UploadPlan, limit: int | None) -> Iterator[str]:
    if not plan.excluded:
        return
    size = human_size(sum(left.size for left in plan.excluded))
    yield f"left behind {len(plan.excluded)} files, {size}"
    shown = plan.excluded[:limit]
    yield from (f"  {left.name}: {left.reason}" for left in shown)
    yield from _more(len(plan.excluded) - len(shown))


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"  and {count:,} more"
