"""What an upload would change under its prefix, found out without changing anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from preflight.language import say
from preflight.oss.body import OnBlock
from preflight.oss.client import BucketClient
from preflight.oss.inspector import Stored
from preflight.oss.models import ObjectHead
from preflight.progress import Progress
from preflight.upload.local_file import local_crc
from preflight.upload.plan import UploadItem, UploadPlan


@dataclass(frozen=True, slots=True)
class Change:
    """One object that would be added or replaced, and why in words after its name."""

    key: str
    reason: str


def compare(
    plan: UploadPlan,
    stored: Mapping[str, Stored],
    client: BucketClient,
    *,
    progress: Progress | None = None,
    on_block: OnBlock | None = None,
) -> Iterator[Change]:
    """What would change, the cheapest to find first: names, sizes, then the bytes.

    The local files are read only when all names and sizes agree, small ones first;
    `progress` hears of the bytes read and `on_block` sees them. Raises
    `SourceChanged` and what the client raises.
    """
    # Names and sizes come from one listing; most changes show there, and then nobody
    # waits for gigabytes to be read.
    seen = [change for item in plan.items if (change := _by_size(item, stored))]
    yield from seen
    if seen:
        return
    # Configs change more often than weights, and are read in no time.
    heads = client.heads(item.key for item in plan.items)
    for item in sorted(plan.items, key=lambda item: item.size):
        read = progress.advance if progress is not None else None
        if not _is_same(heads[item.key], item, on_block, read):
            yield Change(item.key, say("(other content)"))


def _by_size(item: UploadItem, stored: Mapping[str, Stored]) -> Change | None:
    there = stored.get(item.key)
    if there is None:
        return Change(item.key, say("(new)"))
    if there.size != item.size:
        told = say("({size:,} → {new:,} bytes)", size=there.size, new=item.size)
        return Change(item.key, told)
    return None


def _is_same(
    head: ObjectHead | None,
    item: UploadItem,
    on_block: OnBlock | None,
    on_bytes: Callable[[int], None] | None,
) -> bool:
    if head is None or head.size != item.size or head.crc64 is None:
        return False
    return head.crc64 == local_crc(item, on_block, on_bytes=on_bytes)
