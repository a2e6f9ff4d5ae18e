"""Shared state of one transfer: client, workers, throttle, progress, callbacks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

from preflight.errors import SourceChanged
from preflight.oss.body import OnBlock, Stamp
from preflight.oss.client import BucketClient
from preflight.progress import Progress
from preflight.upload.plan import UploadItem
from preflight.upload.throttle import Throttle
from preflight.upload.workers import Workers


class Traffic:
    """How many bytes OSS took from this run; safe to add to from several threads."""

    def __init__(self) -> None:
        self.sent = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        """OSS has confirmed `count` more bytes."""
        with self._lock:
            self.sent += count


@dataclass(frozen=True, slots=True)
class Context:
    """What all files of a transfer share. `part` is the usual part size in bytes."""

    client: BucketClient
    workers: Workers
    throttle: Throttle
    progress: Progress | None
    on_block: OnBlock | None
    part: int
    restart: bool
    traffic: Traffic = field(default_factory=Traffic)

    def advance(self, count: int) -> None:
        """Tell the progress of `count` bytes that are safe in the bucket."""
        if self.progress is not None:
            self.progress.advance(count)


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
