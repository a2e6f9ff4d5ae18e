"""Send a plan's files one after the other; each byte is summed and compared."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from preflight.destination import Destination
from preflight.errors import PreflightError, UsageError
from preflight.oss.answers import Part
from preflight.oss.client import BucketClient
from preflight.oss.crc import crc64
from preflight.oss.plan import UploadItem, UploadPlan
from preflight.oss.source import BytesBody, OpenSource, SliceBody, Stamp, open_source

MIB = 1 << 20
PART = 16 * MIB
MULTIPART_FROM = 32 * MIB  # smaller files are put in one piece
FEW_PARTS = 1_000
# https://www.alibabacloud.com/help/en/oss/user-guide/multipart-upload, read 2026-11
MAX_PARTS = 10_000
MAX_PART = 5 * 1024 * MIB

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadedObject:
    """One object as it was sent; `size` in bytes."""

    key: str
    size: int
    crc64: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What must lie under the destination now."""

    destination: Destination
    objects: tuple[UploadedObject, ...]


def part_size(size: int) -> int:
    """Bytes a part for a file of `size` bytes: doubled until 1,000 parts do.

    Raises `UsageError` for a file that OSS cannot hold.
    """
    part = PART
    while size > part * FEW_PARTS and part * 2 <= MAX_PART:
        part *= 2
    if size > part * MAX_PARTS:
        raise UsageError(f"a file of {size} bytes is larger than OSS allows")
    return part


def _is_stored(
    client: BucketClient, item: UploadItem, sum_up: Callable[[], int]
) -> int:
    """The item's CRC-64 when OSS already holds these bytes, else -1."""
    head = client.head(item.key)
    if head is None or head.size != item.size or head.crc64 is None:
        return -1
    return head.crc64 if head.crc64 == sum_up() else -1


@contextmanager
def _multipart(client: BucketClient, key: str) -> Iterator[str]:
    """An upload id; whatever goes wrong, no part stays behind to be billed."""
    upload_id = client.initiate(key)
    try:
        yield upload_id
    except BaseException:
        try:
            client.abort(key, upload_id)
        except PreflightError as exc:
            _log.warning("unfinished upload of %s stays in the bucket: %s", key, exc)
        raise


def _send_parts(
    client: BucketClient,
    item: UploadItem,
    source: OpenSource,
    on_bytes: Callable[[int], None],
) -> int:
    step, parts = part_size(item.size), list[Part]()
    with _multipart(client, item.key) as upload_id:
        for number, offset in enumerate(range(0, item.size, step), 1):
            length = min(step, item.size - offset)
            make = partial(SliceBody, source, offset, length)
            parts.append(client.upload_part(item.key, upload_id, number, make))
            on_bytes(length)
        source.check_unchanged()
        return client.complete(item.key, upload_id, parts)


def _send_whole(
    client: BucketClient, item: UploadItem, data: bytes, on_bytes: Callable[[int], None]
) -> int:
    crc = _is_stored(client, item, partial(crc64, data))
    if crc < 0:
        crc = client.put(item.key, partial(BytesBody, data))
    on_bytes(len(data))
    return crc


def _send(
    client: BucketClient, item: UploadItem, on_bytes: Callable[[int], None]
) -> int:
    """The CRC-64 of one item that OSS now holds."""
    if isinstance(item.source, bytes):
        return _send_whole(client, item, item.source, on_bytes)
    stamp = Stamp(item.size, item.mtime_ns, item.inode)
    with open_source(item.source, stamp) as source:
        if item.size < MULTIPART_FROM:
            data = source.read_all()
            source.check_unchanged()  # before a mixed file could become visible
            return _send_whole(client, item, data, on_bytes)
        crc = _is_stored(client, item, source.crc)
        if crc < 0:
            return _send_parts(client, item, source, on_bytes)
        source.check_unchanged()
        on_bytes(item.size)
        return crc


def transfer(
    plan: UploadPlan, client: BucketClient, *, on_bytes: Callable[[int], None]
) -> Manifest:
    """Send all items in the plan's order; what is already there is not sent again.

    `on_bytes` hears of bytes that OSS confirmed or already had, never twice. Raises
    `SourceChanged` when a file is not what was planned, `AccessDenied`,
    `TransferError`. Multipart uploads that do not end well are aborted.
    """
    sent = [
        UploadedObject(item.key, item.size, _send(client, item, on_bytes))
        for item in plan.items
    ]
    return Manifest(plan.destination, tuple(sent))
