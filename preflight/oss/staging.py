"""One file on its way: read once, its parts in the bucket, nothing visible yet."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from preflight.errors import PreflightError, SourceChanged
from preflight.oss.answers import ListedObject, Part, PendingUpload
from preflight.oss.client import BucketClient
from preflight.oss.crc import combine_all, crc64
from preflight.oss.crew import Crew, Job
from preflight.oss.faults import Missing
from preflight.oss.options import part_size
from preflight.oss.plan import UploadItem
from preflight.oss.source import (
    BLOCK,
    BytesBody,
    OpenSource,
    SliceBody,
    Stamp,
    open_source,
    opened,
)
from preflight.oss.survey import grid_of
from preflight.oss.throttle import Throttle

OnBlock = Callable[[str, int, memoryview], None]
"""Sees (file name, offset, bytes) of each block read; the memory is used again."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What all files of a transfer share. `part` is the usual part size in bytes."""

    client: BucketClient
    crew: Crew
    throttle: Throttle
    on_bytes: Callable[[int], None]
    on_block: OnBlock | None
    part: int
    restart: bool


def _stamp(item: UploadItem) -> Stamp:
    return Stamp(item.size, item.mtime_ns, item.inode)


def check_path(item: UploadItem) -> None:
    """Raise `SourceChanged` unless the path still is the file that was planned."""
    if isinstance(item.source, Path):
        try:
            now = Stamp.of(item.source.stat())
        except OSError as exc:
            raise SourceChanged(f"{item.name} vanished: {exc.strerror}") from exc
        if now != _stamp(item):
            raise SourceChanged(
                f"{item.name} changed while the files were sent",
                hint="wait until the training has ended, then run the command again",
            )


def _stored_crc(client: BucketClient, item: UploadItem) -> int | None:
    """The CRC-64 of an object of the item's key and size, if OSS has one."""
    head = client.head(item.key)
    return head.crc64 if head is not None and head.size == item.size else None


class WholeFile:
    """A small file: its bytes wait in memory and are put in one piece."""

    def __init__(
        self, item: UploadItem, tools: Tools, listed: ListedObject | None
    ) -> None:
        self.item, self.published = item, False
        self._tools, self._listed = tools, listed
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
            with open_source(item.source, _stamp(item)) as source:
                self._data = source.read_all()
                source.check_unchanged()
        self.crc = crc64(self._data)
        if self._listed is not None and self._listed.size == item.size:
            self.published = _stored_crc(self._tools.client, item) == self.crc
        if self.published:
            self._tools.on_bytes(item.size)

    def publish(self) -> None:
        """Make the object visible."""
        make = partial(BytesBody, self._data)
        forbid = self._listed is None
        self._tools.client.put(self.item.key, make, forbid_overwrite=forbid)
        self.published = True
        self._tools.on_bytes(self.item.size)


class StagedFile:
    """A file as parts of a multipart upload; several threads work on one.

    An object of the same size is read and compared first; parts that OSS holds are
    compared with the local bytes instead of being sent. `lost`: the upload went away
    meanwhile, as another machine may cause; `prepare` then looks again.
    """

    def __init__(
        self, item: UploadItem, tools: Tools, listed: ListedObject | None
    ) -> None:
        self.item, self._tools = item, tools
        self.lost = self.published = False
        self.crc = 0
        self._forbid_overwrite = listed is None
        self._step = part_size(item.size, tools.part)
        self._upload_id = ""
        self._known: dict[int, Part] = {}  # in OSS, not yet compared
        self._parts: dict[int, Part] = {}  # in OSS, and right
        self._summed: dict[int, int] = {}  # CRC-64 of local bytes, by part
        self._stored: int | None = None
        self._credited = 0  # bytes
        self._lock, self._beginning = threading.Lock(), threading.Lock()
        self._source: OpenSource | None = None
        self._left = 0

    def prepare(self, listed: bool, uploads: tuple[PendingUpload, ...]) -> None:
        """Find out what OSS has: an object of this size, parts of an earlier run."""
        self.lost = False
        self._upload_id, self._known, self._parts = "", {}, {}
        self._stored = _stored_crc(self._tools.client, self.item) if listed else None
        best = 0
        for upload in uploads:
            parts, step = self._usable(upload)
            held = sum(part.size for part in parts.values())
            if not step or (self._upload_id and held <= best):
                self._tools.client.abort(upload.key, upload.upload_id)
                continue
            self.give_up()
            self._upload_id, self._known, best = upload.upload_id, parts, held
            self._regrid(step)

    def _usable(self, upload: PendingUpload) -> tuple[dict[int, Part], int]:
        """An upload's parts and the size they were cut by, 0 when useless."""
        if self._tools.restart:
            return {}, 0
        try:
            found = list(self._tools.client.list_parts(upload.key, upload.upload_id))
        except Missing:
            return {}, 0
        return {p.number: p for p in found}, grid_of(found, self.item.size, self._step)

    def _regrid(self, step: int) -> None:
        if step != self._step:
            self._step = step
            self._summed.clear()

    def look_again(self) -> None:
        """`prepare` by asking for this one key, after the upload was lost."""
        uploads = self._tools.client.list_uploads(self.item.key)
        self.prepare(True, tuple(one for one in uploads if one.key == self.item.key))

    @property
    def ready(self) -> bool:
        """Whether it can be published now, or is already."""
        return self.published or not (self.lost or self._missing())

    def _missing(self) -> list[int]:
        numbers = range(1, -(-self.item.size // self._step) + 1)
        return [number for number in numbers if number not in self._parts]

    def jobs(self) -> list[Job]:
        """A job for each part that is not known to be right yet."""
        if self.published:
            return []
        missing = self._missing()
        self._left = len(missing)
        return [partial(self._do, number) for number in missing]

    def _span(self, number: int) -> tuple[int, int]:
        offset = (number - 1) * self._step
        return offset, min(self._step, self.item.size - offset)

    def _do(self, number: int, buffer: memoryview) -> None:
        if self.lost:
            return
        if self._stored is not None:
            if number not in self._summed:
                self._sum(number, buffer)
        elif not self._is_held(number, buffer):
            self._send(number, buffer)
        if self.lost:
            return
        self._credit(self._span(number)[1])
        with self._lock:
            self._left -= 1
            last = not self._left
        if last:
            self._end_reading()

    def _credit(self, count: int) -> None:
        """Tell of bytes that are done; of those done again nobody hears."""
        with self._lock:
            count = min(count, self.item.size - self._credited)
            self._credited += count
        if count:
            self._tools.on_bytes(count)

    def _open(self) -> OpenSource:
        with self._lock:
            if self._source is None:
                if not isinstance(self.item.source, Path):
                    raise PreflightError(f"{self.item.name} is no file")
                self._source = opened(self.item.source, _stamp(self.item))
            return self._source

    def _end_reading(self) -> None:
        self._open().check_unchanged()
        self.close()
        if self._stored is None:
            numbers = sorted(self._parts)
            self.crc = self._whole([self._parts[n].crc64 or 0 for n in numbers])
        else:
            self._compare()

    def _compare(self) -> None:
        """Is the object that is there already this file?"""
        self.crc = self._whole([self._summed[n] for n in sorted(self._summed)])
        self.published = self.crc == self._stored
        self._stored = None
        if self.published:
            self.give_up()

    def _whole(self, sums: list[int]) -> int:
        lengths = (self._span(number)[1] for number in range(1, len(sums) + 1))
        return combine_all(zip(sums, lengths, strict=True))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.close()

    def _seen(self, at: int, block: memoryview) -> None:
        """Each block passes here, whether it is sent or only compared."""
        self._tools.crew.check()
        if self._tools.on_block is not None:
            self._tools.on_block(self.item.name, at, block)

    def _sent(self, at: int, block: memoryview) -> None:
        self._seen(at, block)
        self._tools.throttle.take(len(block))

    def _read(self, number: int, buffer: memoryview) -> Iterator[memoryview]:
        """A part's blocks, read without sending them; its sum is noted at the end."""
        offset, length = self._span(number)
        body = SliceBody(
            self._open(), offset, length, buffer=buffer, on_block=self._seen
        )
        while block := body.read(BLOCK):
            yield block
        self._summed[number] = body.crc

    def _sum(self, number: int, buffer: memoryview) -> None:
        for _ in self._read(number, buffer):
            pass

    def _is_held(self, number: int, buffer: memoryview) -> bool:
        """Whether OSS holds this part with the local bytes."""
        known = self._known.get(number)
        if known is None:
            return False
        if known.crc64 is None:
            right = self._has_etag(number, known, buffer)
        else:
            if number not in self._summed:
                self._sum(number, buffer)
            right = self._summed[number] == known.crc64
        if right:
            self._parts[number] = replace(known, crc64=self._summed[number])
        else:
            self._known = {}  # the file is another one: do not read the rest twice
        return right

    def _has_etag(self, number: int, known: Part, buffer: memoryview) -> bool:
        """A part's ETag is its MD5: for answers that lack the CRC-64."""
        digest = hashlib.md5(usedforsecurity=False)
        for block in self._read(number, buffer):
            digest.update(block)
        return known.etag.upper() == digest.hexdigest().upper()

    def _begin(self) -> str:
        with self._beginning:
            if not self._upload_id:
                self._upload_id = self._tools.client.initiate(self.item.key)
            return self._upload_id

    def _send(self, number: int, buffer: memoryview) -> None:
        source, (offset, length) = self._open(), self._span(number)
        piece = buffer[: self._tools.throttle.block(len(buffer))]

        def make() -> SliceBody:
            self._tools.crew.check()
            return SliceBody(source, offset, length, buffer=piece, on_block=self._sent)

        try:
            self._parts[number] = self._tools.client.upload_part(
                self.item.key, self._begin(), number, make
            )
        except Missing:
            self.lost = True

    def publish(self) -> None:
        """Make the object of its parts visible; `lost` is set when they are gone."""
        if self.published:
            return
        parts = [self._parts[number] for number in sorted(self._parts)]
        try:
            self.crc = self._tools.client.complete(
                self.item.key,
                self._upload_id,
                parts,
                forbid_overwrite=self._forbid_overwrite,
            )
        except Missing:
            self.lost = True
        else:
            self.published = True

    def give_up(self) -> None:
        """Abort its upload, if there is one."""
        upload_id, self._upload_id = self._upload_id, ""
        if upload_id:
            self._tools.client.abort(self.item.key, upload_id)
