"""How a transfer is done: workers, part size, rate; and how big parts are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from preflight.errors import UsageError
from preflight.language import say

KIB, MIB = 1 << 10, 1 << 20
PART = 16 * MIB
FEW_PARTS = 1_000
# https://www.alibabacloud.com/help/en/oss/user-guide/multipart-upload, read 2026-11
MIN_PART = 100 * KIB
MAX_PART = 5 * 1024 * MIB
MAX_PARTS = 10_000

MAX_WORKERS = 64
_SHARE = 4  # parts a worker, so that all end at about the same time
_SMALLEST, _LARGEST = 4 * MIB, 32 * MIB


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """`workers` and `part_size` (bytes) of 0 are chosen from the files' sizes.

    `bandwidth`: bytes a second over all connections, 0 for no limit. `restart`:
    abort what earlier runs left instead of going on with it. `allow_extra`: other
    objects may lie below the prefix. `patience`: seconds without any success after
    which an outage ends the transfer. Raises `UsageError` for impossible numbers.
    """

    workers: int = 0
    part_size: int = 0
    bandwidth: int = 0
    restart: bool = False
    allow_extra: bool = False
    patience: float = 600.0

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= MAX_WORKERS:
            raise UsageError(
                say(
                    "{workers} workers; 1 to {max_workers} are possible",
                    workers=self.workers,
                    max_workers=MAX_WORKERS,
                )
            )
        if self.part_size and not MIN_PART <= self.part_size <= MAX_PART:
            raise UsageError(
                say("a part size of {part_size} bytes", part_size=self.part_size),
                hint=say("OSS takes parts of 100 KiB to 5 GiB"),
            )
        if self.bandwidth < 0:
            raise UsageError(say("the bandwidth limit is negative"))
        if not 0 <= self.patience < float("inf"):
            raise UsageError(
                say("a patience of {patience} seconds", patience=self.patience)
            )

    @property
    def worker_count(self) -> int:
        """How many workers there are.

        On few cores more of them get into each other's way sooner than they help.
        """
        return self.workers or (8 if (os.cpu_count() or 1) > 4 else 4)


def part_size(size: int, wanted: int = PART) -> int:
    """Bytes a part for a file of `size` bytes: `wanted`, doubled until 1,000 parts do.

    Raises `UsageError` for a file that OSS cannot hold.
    """
    # One answer of ListParts tells of 1,000 parts: a resumed run asks once for a file.
    part = wanted
    while size > part * FEW_PARTS and part * 2 <= MAX_PART:
        part *= 2
    if size > part * MAX_PARTS:
        raise UsageError(
            say("a file of {size} bytes is larger than OSS allows", size=size)
        )
    return part


def wanted_part(sizes: Iterable[int], options: TransferOptions) -> int:
    """The part size to begin with: as asked, else so that all workers have their share.

    Large parts cost fewer round trips, small ones lose less when a run is killed.
    """
    if options.part_size:
        return options.part_size
    share, part = sum(sizes) // (options.worker_count * _SHARE), _SMALLEST
    while part * 2 <= min(share, _LARGEST):
        part *= 2
    return part
