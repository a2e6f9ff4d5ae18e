"""The files of an upload, for people: what went where, and what stayed behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from preflight.language import glued, say, say_n
from preflight.pipeline.shared import Brought
from preflight.pipeline.uploaded import Uploaded
from preflight.progress import human_size
from preflight.record import RunRecord
from preflight.upload.forecast import forecast
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import UploadPlan


def upload_lines(record: RunRecord, *, verbose: bool) -> Iterator[str]:
    """The upload, or what it would be; nothing if there is neither."""
    if (done := record.uploaded) is not None:
        yield from _uploaded(done)
        sums = {each.key: each.crc64 for each in done.manifest.objects}
        if verbose:
            yield from _files(done.plan, sums if done.verified else {})
        yield from _left_behind(done.plan) if verbose else ()
    elif record.brought is not None:
        yield from _brought(record.brought)
    elif record.dry_run and record.planned is not None:
        plan = record.planned.plan
        options = record.transfer or TransferOptions()
        yield from forecast(plan, options)
        yield from _files(plan, {}) if verbose else ()
        yield from _left_behind(plan) if verbose else ()
    elif record.progress is not None and record.progress.stage == "uploading":
        done_bytes, total = record.progress.done, record.progress.total
        yield say(
            "{done} of {total} are safe in OSS",
            done=human_size(done_bytes),
            total=human_size(total),
        )


def files(count: int) -> str:
    """`1 file`, `5 files`."""
    return say_n("{count} file", "{count:,} files", count=count)


def _counted(plan: UploadPlan) -> str:
    return glued(files(len(plan.items)), ", ", human_size(plan.total_bytes))


def _uploaded(done: Uploaded) -> Iterator[str]:
    """What a run that found everything, or half of it, did is not called an upload."""
    plan, where, whole = done.plan, done.plan.destination.url, done.plan.total_bytes
    if done.sent == 0:
        count = files(len(plan.items))
        told = say("nothing to send: {files} in {url}", files=count, url=where)
        if done.verified:
            told = say(
                "nothing to send: {files} verified in {url}", files=count, url=where
            )
        yield told
        return
    told = say("uploaded {what}, to {url}", what=_counted(plan), url=where)
    yield say("{told}, verified", told=told) if done.verified else told
    if done.tasks > 1:
        yield say(
            "  {sent} by this task, {others} by others or before",
            sent=human_size(done.sent),
            others=human_size(whole - done.sent),
        )
    elif done.sent < whole:
        yield say(
            "  {sent} were sent now, {there} lay there already",
            sent=human_size(done.sent),
            there=human_size(whole - done.sent),
        )


def _brought(done: Brought) -> Iterator[str]:
    """What a task that does not publish did."""
    if not done.size:
        yield say("nothing to send: all lies there already")
        return
    yield say(
        "the share of task {task}, {size}, is in the bucket; {sent} were sent now",
        task=done.task.told,
        size=human_size(done.size),
        sent=human_size(done.sent),
    )


def _files(plan: UploadPlan, sums: Mapping[str, int]) -> Iterator[str]:
    width = max((len(item.name) for item in plan.items), default=0)
    for item in plan.items:
        crc = f"  crc64 {sums[item.key]}" if item.key in sums else ""
        start = f"  {item.name:{width}}  {item.size:>15,}"
        yield say("{file} bytes{crc}", file=start, crc=crc)


def _left_behind(plan: UploadPlan) -> Iterator[str]:
    """Each file that stays, and why."""
    if not plan.excluded:
        return
    size = human_size(sum(left.size for left in plan.excluded))
    line = say(
        "not uploaded (not needed): {files}, {size}",
        files=files(len(plan.excluded)),
        size=size,
    )
    yield line
    yield from (glued(f"  {left.name}: ", left.reason) for left in plan.excluded)
