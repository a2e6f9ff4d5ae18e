"""Shared state of one transfer: client, workers, throttle, progress, callbacks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from preflight.oss.body import OnBlock
from preflight.oss.client import BucketClient
from preflight.progress import Progress
from preflight.retry import Patience
from preflight.upload.concurrency import Fixed, Found
from preflight.upload.parts import TransferOptions
from preflight.upload.throttle import Throttle
from preflight.upload.workers import Workers


class Traffic:
    """How many bytes this run sent, and OSS took; safe to add to from any thread."""

    def __init__(self) -> None:
        self.sent = 0
        self.moved = 0  # handed to the system, what had to be sent again included
        self.steps = 0  # rises as long as anything goes on, comparing included
        self.rate = 0.0  # bytes/s of one connection, with its answers; 0: not known
        self._lock = threading.Lock()

    def move(self, count: int) -> None:
        """`count` more bytes are on their way."""
        with self._lock:
            self.moved += count

    def add(self, count: int) -> None:
        """OSS has confirmed `count` more bytes."""
        with self._lock:
            self.sent += count  # not one step: two threads could lose one addition

    def clock(self, count: int, seconds: float) -> None:
        """A part of `count` bytes took so long."""
        if seconds > 0:
            with self._lock:
                last = count / seconds
                self.rate += 0.2 * (last - self.rate) if self.rate else last


def make_context(
    client: BucketClient,
    options: TransferOptions,
    part: int,
    progress: Progress | None,
    on_block: OnBlock | None,
) -> Context:
    """That of a new transfer, with workers of its own; `part` in bytes."""
    traffic = Traffic()
    size = Fixed(options.workers) if options.workers else Found(options.worker_count)
    workers = Workers(size, client.hurry, client.again, moved=lambda: traffic.moved)
    throttle = Throttle(options.bandwidth, workers.pause)
    return Context(
        client,
        workers,
        throttle,
        progress,
        on_block,
        part,
        options.restart,
        client.patience,
        traffic,
    )


@dataclass(frozen=True, slots=True)
class Context:
    """Shared state of one transfer; `part` is the usual part size in bytes.

    `patience` hears of all that moves: a byte that is sent for the first time, and
    bytes that were found to be in the bucket.
    """

    client: BucketClient
    workers: Workers
    throttle: Throttle
    progress: Progress | None
    on_block: OnBlock | None
    part: int
    restart: bool
    patience: Patience
    traffic: Traffic = field(default_factory=Traffic)
    _furthest: dict[tuple[str, int], int] = field(default_factory=dict)

    def start_with(self, workers: int) -> None:
        """Begin with so many, where their number is to be found."""
        if isinstance(self.workers.size, Found):
            self.workers.size.start_with(workers)

    def took_part(self, count: int, seconds: float) -> None:
        """OSS has confirmed a part of `count` bytes, after so long."""
        self.traffic.clock(count, seconds)
        self.workers.size.took(seconds)
        self.took(count)

    def took(self, count: int) -> None:
        """OSS has confirmed `count` bytes that this run sent."""
        self.traffic.add(count)
        if self.progress is not None:
            self.progress.sent(count)

    def flow(self, file: str, part: int, count: int) -> None:
        """Tell the progress of `count` bytes of a part that are on their way."""
        # A connection that always breaks at the same byte must not pass for progress.
        if count > self._furthest.get((file, part), 0):
            self._furthest[(file, part)] = count
            self._moved()
        if self.progress is not None:
            self.progress.flow(file, part, count)

    def advance(self, count: int) -> None:
        """Tell the progress of `count` bytes that are safe in the bucket."""
        self._moved()
        if self.progress is not None:
            self.progress.advance(count)

    def _moved(self) -> None:
        self.patience.moved()
        self.traffic.steps += 1
