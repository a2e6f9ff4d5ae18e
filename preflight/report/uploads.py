"""The files of an upload, for people: what went where, and what stayed behind."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.progress import human_size
from preflight.record import RunRecord, UploadRecord

_SHOWN = 8  # files; --verbose shows all


def upload_lines(record: RunRecord, *, verbose: bool) -> Iterator[str]:
    """The upload, or what it would be; nothing if there is neither."""
    upload = record.upload
    if upload is not None:
        yield _uploaded(upload)
    elif record.dry_run and record.plan is not None:
        upload = record.plan
        yield f"would upload {_counted(upload)}, to {upload.destination}"
    if upload is not None:
        limit = None if verbose else _SHOWN
        yield from _files(upload, limit, verbose=verbose)
        yield from _left_behind(upload, limit)


def _total(upload: UploadRecord) -> int:
    return sum(file.size for file in upload.files)


def _counted(upload: UploadRecord) -> str:
    return f"{len(upload.files)} files, {human_size(_total(upload))}"


def _uploaded(upload: UploadRecord) -> str:
    """What a run that found everything, or half of it, did is not called an upload."""
    sent, where = upload.sent, upload.destination
    if sent == 0:
        return f"nothing to send: {_counted(upload)}, lay at {where} already"
    if sent is None or sent >= _total(upload):
        return f"uploaded {_counted(upload)}, to {where}"
    return (
        f"uploaded {_counted(upload)}, to {where}: {human_size(sent)} were sent now, "
        f"{human_size(_total(upload) - sent)} lay there already"
    )


def _files(upload: UploadRecord, limit: int | None, *, verbose: bool) -> Iterator[str]:
    prefix = upload.destination.partition("://")[2].partition("/")[2]
    shown = upload.files[:limit]
    names = [file.key.removeprefix(prefix) for file in shown]
    width = max(map(len, names), default=0)
    for name, file in zip(names, shown, strict=True):
        crc = f"  crc64 {file.crc64}" if upload.verified and verbose else ""
        yield f"  {name:{width}}  {file.size:>15,} bytes{crc}"
    yield from _more(len(upload.files) - len(shown))


def _left_behind(upload: UploadRecord, limit: int | None) -> Iterator[str]:
    if not upload.left_behind:
        return
    size = human_size(sum(left.size for left in upload.left_behind))
    yield f"left behind {len(upload.left_behind)} files, {size}"
    shown = upload.left_behind[:limit]
    yield from (f"  {left.name}: {left.reason}" for left in shown)
    yield from _more(len(upload.left_behind) - len(shown))


def _more(count: int) -> Iterator[str]:
    if count > 0:
        yield f"  and {count:,} more"
