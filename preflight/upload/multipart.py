"""One large file on its way: read once, its parts in the bucket, nothing visible.

Two machines do it, one after the other. Where an object of the file's size lies,
`StoredObject` reads the file and compares; where none lies, or another one,
`PartUpload` brings the parts into a multipart upload and completes it when told to.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable
from functools import partial

from preflight.oss.models import ListedObject, Part, PendingUpload
from preflight.upload.context import Context
from preflight.upload.local_file import LocalFile
from preflight.upload.part_upload import PartState, PartUpload
from preflight.upload.parts import part_size
from preflight.upload.plan import UploadItem
from preflight.upload.resume import take_up
from preflight.upload.stored_object import ObjectState, StoredObject, stored_crc
from preflight.upload.workers import Job


class MultipartFile:
    """A file as parts of a multipart upload; several threads work on one."""

    def __init__(
        self, item: UploadItem, context: Context, listed: ListedObject | None
    ) -> None:
        self.item, self._context = item, context
        self._local = LocalFile(item, context)
        self._upload_of = partial(
            PartUpload, self._local, context, forbid_overwrite=listed is None
        )
        self._upload: PartUpload = self._upload_of()
        self._object: StoredObject | None = None
        self._lock = threading.Lock()
        self._mine: Container[int] | None = None  # numbers; None: all parts
        self._left = 0  # parts
        self._credited = 0  # bytes

    def prepare(self, listed: bool, uploads: tuple[PendingUpload, ...]) -> None:
        """Find out what OSS has: an object of this size, parts of an earlier run."""
        client, item = self._context.client, self.item
        stored = stored_crc(client, item) if listed else None
        restart = self._context.restart
        left = take_up(client, item, uploads, self._local.step, restart=restart)
        if uploads and left is None and stored is None:
            # An upload that is gone may have been completed since it was listed.
            stored = stored_crc(client, item)
        if left is not None:
            self._local.cut(left.step)
        self._upload = self._upload_of(left=left)
        self._object = None if stored is None else StoredObject(self._local, stored)

    def look_again(self) -> None:
        """`prepare` by asking for this one key, after the upload was lost."""
        uploads = self._context.client.list_uploads(self.item.key)
        self.prepare(True, tuple(one for one in uploads if one.key == self.item.key))

    def begin(self) -> str:
        """Begin its upload, unless it was; the id, or nothing where none is needed."""
        return "" if self.published else self._upload.begin()

    def share(self, numbers: Container[int] | None) -> None:
        """Bring these parts alone; the others are taken over from other tasks."""
        self._mine = numbers

    def hold(self, parts: Iterable[Part]) -> None:
        """Parts that another task brought, and that nobody vouches for."""
        self._upload.hold(parts)

    def take_over(self, parts: Iterable[Part]) -> None:
        """Parts that another task brought and vouches for; all have a CRC-64."""
        for part in parts:
            if self._upload.take_over(part):
                self._count(part.number, self._upload)

    @property
    def step(self) -> int:
        """Bytes a part."""
        return self._local.step

    @property
    def fresh(self) -> bool:
        """Whether nothing was done yet that depends on how it is cut."""
        return self._object is None and self._upload.fresh and self._local.is_unread

    def cut(self, wanted: int) -> None:
        """Take parts of about so many bytes; for a `fresh` file."""
        self._local.cut(part_size(self.item.size, wanted))

    @property
    def comparing(self) -> bool:
        """Whether it is not known yet that the object there is another one."""
        return self._machine is self._object

    @property
    def lost(self) -> bool:
        """Whether the upload went away: `look_again` finds out what is there now."""
        return not self.published and self._upload.state is PartState.LOST

    @property
    def published(self) -> bool:
        """Whether the object is there, and is this file."""
        there = self._object is not None and self._object.state is ObjectState.SAME
        return there or self._upload.state is PartState.VISIBLE

    @property
    def ready(self) -> bool:
        """Whether it can be published now, or is already."""
        return self.published or self._upload.state is PartState.FULL

    @property
    def crc(self) -> int:
        """The CRC-64 of the file, and of its object."""
        there = self._object
        if there is not None and there.state is ObjectState.SAME:
            return there.crc
        return self._upload.crc

    @property
    def _machine(self) -> StoredObject | PartUpload:
        if self._object is not None and self._object.state is ObjectState.READING:
            return self._object
        return self._upload

    def jobs(self) -> list[Job]:
        """A job for each part that is to be done; the last one to end concludes."""
        if self.ready:
            return []
        machine = self._machine
        missing = machine.missing()
        if not missing:
            # Every part was sent, then the upload was lost to an object of this size:
            # all sums are known, and there is nothing to read.
            self._conclude(machine)
        self._left = len(missing)
        if self._mine is not None and machine is self._upload:
            missing = [number for number in missing if number in self._mine]
        return [partial(self._do, machine, number) for number in missing]

    def _do(
        self, machine: StoredObject | PartUpload, number: int, buffer: memoryview
    ) -> None:
        # A part that was lost is not counted down, so that nobody concludes.
        if machine.do(number, buffer):
            self._count(number, machine)

    def _count(self, number: int, machine: StoredObject | PartUpload) -> None:
        """One part less that is missing."""
        self._context.flow(self.item.name, number, 0)  # it has arrived
        self._credit(self._local.span(number)[1])
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._conclude(machine)

    def _conclude(self, machine: StoredObject | PartUpload) -> None:
        # Before any verdict: of a file that changed meanwhile the parts are a mixture.
        self._local.end_reading()
        machine.end()
        if self.published:
            self._upload.give_up()  # parts of an earlier run that nobody needs now

    def _credit(self, count: int) -> None:
        """Tell of bytes that are done; of those done again nobody hears."""
        with self._lock:
            count = min(count, self.item.size - self._credited)
            self._credited += count
        if count:
            self._context.advance(count)

    def publish(self) -> None:
        """Make the object visible; the file is `lost` when its parts are gone."""
        if not self.published:
            self._upload.publish()

    def give_up(self) -> None:
        """Abort its upload, if there is one."""
        self._upload.give_up()

    def close(self) -> None:
        """Close the local file."""
        self._local.close()
