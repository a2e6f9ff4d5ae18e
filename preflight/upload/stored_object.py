"""An object of the right size is there: is it this file? Told without sending."""

from __future__ import annotations

from enum import Enum

from preflight.oss.client import BucketClient
from preflight.upload.local_file import LocalFile
from preflight.upload.plan import UploadItem


class ObjectState(Enum):
    """How far the comparison came."""

    READING = "the local parts are being summed"
    SAME = "the object is this file"
    OTHER = "the object has other bytes"


class StoredObject:
    """The first machine of a large file: it reads all parts, and sends none.

    `crc64` is the stored object's. READING, then SAME or OTHER.
    """

    def __init__(self, local: LocalFile, crc64: int) -> None:
        self._local, self.crc = local, crc64
        self.state = ObjectState.READING

    def missing(self) -> list[int]:
        """The parts that were not read yet."""
        return [n for n in self._local.numbers if not self._local.is_summed(n)]

    def do(self, number: int, buffer: memoryview) -> bool:
        """Read one part; whether that is done, as it always is."""
        self._local.sum(number, buffer)
        return True

    def end(self) -> None:
        """All parts are read: compare."""
        # Sizes agree already. More than the CRC-64 OSS cannot tell of an object that
        # was put together from parts: its ETag is no digest of its bytes.
        same = self._local.crc == self.crc
        self.state = ObjectState.SAME if same else ObjectState.OTHER


def stored_crc(client: BucketClient, item: UploadItem) -> int | None:
    """The CRC-64 of an object of the item's key and size, if OSS has one."""
    head = client.head(item.key)
    return head.crc64 if head is not None and head.size == item.size else None
