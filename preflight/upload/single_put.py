"""One small file on its way: in memory until all is right, then put in one piece."""

from __future__ import annotations

from functools import partial

from preflight.crc import crc64
from preflight.oss.body import BytesBody
from preflight.oss.models import ListedObject
from preflight.upload.context import Context
from preflight.upload.local_file import open_item
from preflight.upload.plan import UploadItem
from preflight.upload.stored_object import stored_crc
from preflight.upload.workers import Job


class SinglePut:
    """A small file: its bytes wait in memory and are put in one piece."""

    def __init__(
        self, item: UploadItem, context: Context, listed: ListedObject | None
    ) -> None:
        self.item, self.published = item, False
        self._context, self._listed = context, listed
        self._data = b""
        self.crc = 0

    def jobs(self) -> list[Job]:
        """Read it, and compare it with what is there."""
        return [self._stage]

    def _stage(self, _: memoryview) -> None:
        item = self.item
        if isinstance(item.source, bytes):
            self._data = item.source
        else:
            with open_item(item, self._context.workers) as file:
                self._data = file.read(0, file.size)
                file.check_unchanged()
        # Kept in memory from here on: what was judged is what is put, whatever happens
        # to the file meanwhile.
        self.crc = crc64(self._data)
        if self._listed is not None and self._listed.size == item.size:
            self.published = stored_crc(self._context.client, item) == self.crc
        if self.published:
            self._context.advance(item.size)

    def publish(self) -> None:
        """Make the object visible."""
        make = partial(BytesBody, self._data)
        # Where nothing lay, another machine's object must not be replaced unseen.
        forbid = self._listed is None
        self._context.client.put(self.item.key, make, forbid_overwrite=forbid)
        self.published = True
        self._context.took(self.item.size)
        self._context.advance(self.item.size)
