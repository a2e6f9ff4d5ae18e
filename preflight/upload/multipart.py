"""One large file on its way: read once, its parts in the bucket, nothing visible."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from preflight.crc import combine_all
from preflight.errors import PreflightError
from preflight.oss.body import BLOCK, OnBlock, OpenSource, SliceBody, opened
from preflight.oss.errors import Missing
from preflight.oss.models import ListedObject, Part, PendingUpload
from preflight.upload.context import Context, stamp, stored_crc
from preflight.upload.parts import part_size
from preflight.upload.plan import UploadItem
from preflight.upload.resume import grid_of
from preflight.upload.workers import Job

__all__ = ["MultipartFile", "OnBlock"]


class MultipartFile:
    """A file as parts of a multipart upload; several threads work on one.

    An object of the same size is read and compared first; parts that OSS holds are
    compared with the local bytes instead of being sent. `lost`: the upload went away
    meanwhile, as another machine may cause; `prepare` then looks again.
    """

    def __init__(
        self, item: UploadItem, context: Context, listed: ListedObject | None
    ) -> None:
        self.item, self._context = item, context
        self.lost = self.published = False
        self.crc = 0
        self._forbid_overwrite = listed is None
        self._step = part_size(item.size, context.part)
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
        self._stored = stored_crc(self._context.client, self.item) if listed else None
        best = 0
        for upload in uploads:
            parts, step = self._usable(upload)
            held = sum(part.size for part in parts.values())
            if not step or (self._upload_id and held <= best):
                self._context.client.abort(upload.key, upload.upload_id)
                continue
            self.give_up()
            self._upload_id, self._known, best = upload.upload_id, parts, held
            self._regrid(step)
        if uploads and not self._upload_id and self._stored is None:
            # It may have been completed since it was listed.
            self._stored = stored_crc(self._context.client, self.item)

    def _usable(self, upload: PendingUpload) -> tuple[dict[int, Part], int]:
        """An upload's parts and the size they were cut by, 0 when useless."""
        if self._context.restart:
            return {}, 0
        try:
            found = list(self._context.client.list_parts(upload.key, upload.upload_id))
        except Missing:
            return {}, 0
        return {p.number: p for p in found}, grid_of(found, self.item.size, self._step)

    def _regrid(self, step: int) -> None:
        if step != self._step:
            self._step = step
            self._summed.clear()

    def look_again(self) -> None:
        """`prepare` by asking for this one key, after the upload was lost."""
        uploads = self._context.client.list_uploads(self.item.key)
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
            self._context.advance(count)

    def _open(self) -> OpenSource:
        with self._lock:
            if self._source is None:
                if not isinstance(self.item.source, Path):
                    raise PreflightError(f"{self.item.name} is no file")
                self._source = opened(self.item.source, stamp(self.item))
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
        self._context.workers.check()
        if self._context.on_block is not None:
            self._context.on_block(self.item.name, at, block)

    def _sent(self, at: int, block: memoryview) -> None:
        self._seen(at, block)
        self._context.throttle.take(len(block))

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
                self._upload_id = self._context.client.initiate(self.item.key)
            return self._upload_id

    def _send(self, number: int, buffer: memoryview) -> None:
        source, (offset, length) = self._open(), self._span(number)
        piece = buffer[: self._context.throttle.block(len(buffer))]

        def make() -> SliceBody:
            self._context.workers.check()
            return SliceBody(source, offset, length, buffer=piece, on_block=self._sent)

        try:
            part = self._context.client.upload_part(
                self.item.key, self._begin(), number, make
            )
        except Missing:
            self.lost = True
        else:
            self._parts[number] = part
            self._context.traffic.add(part.size)

    def publish(self) -> None:
        """Make the object of its parts visible; `lost` is set when they are gone."""
        if self.published:
            return
        parts = [self._parts[number] for number in sorted(self._parts)]
        try:
            self.crc = self._context.client.complete(
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
            self._context.client.abort(self.item.key, upload_id)
