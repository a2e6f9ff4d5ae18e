"""How much of an upload this run really sent: what lay there costs no traffic."""

from __future__ import annotations

import threading
from collections.abc import Callable

from preflight.oss.body import Body
from preflight.oss.client import BucketClient
from preflight.oss.models import Part


class CountingClient(BucketClient):
    """A bucket whose `sent` counts the bytes that OSS took, from any thread."""

    sent = 0
    _counting = threading.Lock()

    def put(
        self, key: str, make: Callable[[], Body], *, forbid_overwrite: bool = False
    ) -> int:
        """As that of `BucketClient`."""
        crc = super().put(key, make, forbid_overwrite=forbid_overwrite)
        self._count(make().len)
        return crc

    def upload_part(
        self, key: str, upload_id: str, number: int, make: Callable[[], Body]
    ) -> Part:
        """As that of `BucketClient`."""
        part = super().upload_part(key, upload_id, number, make)
        self._count(part.size)
        return part

    def _count(self, size: int) -> None:
        with self._counting:
            self.sent += size
