"""What all files of a transfer share, and what is asked about each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from preflight.errors import SourceChanged
from preflight.oss.body import OnBlock, Stamp
from preflight.oss.client import BucketClient
from preflight.upload.plan import UploadItem
from preflight.upload.throttle import Throttle
from preflight.upload.workers import Workers


@dataclass(frozen=True, slots=True)
class Context:
    """What all files of a transfer share. `part` is the usual part size in bytes."""

    client: BucketClient
    workers: Workers
    throttle: Throttle
    on_bytes: Callable[[int], None]
    on_block: OnBlock | None
    part: int
    restart: bool


def stamp(item: UploadItem) -> Stamp:
    """What its file was when the plan was made."""
    return Stamp(item.size, item.mtime_ns, item.inode)


def check_path(item: UploadItem) -> None:
    """Raise `SourceChanged` unless the path still is the file that was planned."""
    if isinstance(item.source, Path):
        try:
            now = Stamp.of(item.source.stat())
        except OSError as exc:
            raise SourceChanged(f"{item.name} vanished: {exc.strerror}") from exc
        if now != stamp(item):
            raise SourceChanged(
                f"{item.name} changed while the files were sent",
                hint="wait until the training has ended, then run the command again",
            )


def stored_crc(client: BucketClient, item: UploadItem) -> int | None:
    """The CRC-64 of an object of the item's key and size, if OSS has one."""
    head = client.head(item.key)
    return head.crc64 if head is not None and head.size == item.size else None
