"""How a transfer is done: workers, part size, rate; and how big parts are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from preflight.errors import UsageError
from preflight.language import say
from preflight.upload.concurrency import MAX_WORKERS, first_workers

KIB, MIB = 1 << 10, 1 << 20
PART = 16 * MIB
FEW_PARTS = 1_000
# https://www.alibabacloud.com/help/en/oss/user-guide/multipart-upload, read 2026-11
MIN_PART = 100 * KIB
MAX_PART = 5 * 1024 * MIB
MAX_PARTS = 10_000

# Parts a worker: near by so that all end at about the same time; far away each part
# costs an answer that is waited for, and large ones are worth more than equal ends.
_SHARE, _SHARE_FAR = 4, 2
_SMALLEST, _LARGEST = 4 * MIB, 32 * MIB
# So much smaller are the parts of what comes last, far away. With 64 workers at 5 MB/s
# whole ones end up to seven seconds apart, and the link idles meanwhile.
_FINER = 4
# A part that takes longer is cut smaller: a run that is killed loses what is under way.
_LONGEST = 8.0  # seconds


@dataclass(frozen=True, slots=True)
class TransferOptions:
    """`workers` of 0 are as many as help; `part_size` (bytes) of 0 is chosen.

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
        """How many workers there are at first, as long as nothing is known of OSS."""
        return self.workers or first_workers(None)

    @property
    def most_workers(self) -> int:
        """How many workers there may come to be."""
        return self.workers or MAX_WORKERS


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


def wanted_part(
    sizes: Iterable[int], options: TransferOptions, latency: float | None = None
) -> int:
    """The part size to begin with: as asked, else so that all workers have their share.

    `latency`: seconds until OSS answers, None where it was not asked yet.

    Large parts cost fewer round trips, small ones lose less when a run is killed.
    """
    if options.part_size:
        return options.part_size
    workers = options.workers or first_workers(latency)
    shares = workers * (_SHARE if workers == first_workers(None) else _SHARE_FAR)
    share, part = sum(sizes) // shares, _SMALLEST
    while part * 2 <= min(share, _LARGEST):
        part *= 2
    return part


def last_part(part: int, options: TransferOptions, latency: float | None) -> int:
    """The part size of the files that are sent last, in bytes, where `part` is usual.

    `latency`: seconds until OSS answers. Near by the usual parts end soon enough.
    """
    near = first_workers(latency) == first_workers(None)
    return part if near or options.part_size else max(_SMALLEST, part // _FINER)


def fitting_part(part: int, rate: float, options: TransferOptions) -> int:
    """`part` bytes, or less for connections that send `rate` bytes/s; 0: not known."""
    if options.part_size or not rate:
        return part
    while part > rate * _LONGEST and part >= 2 * _SMALLEST:
        part //= 2
    return part
