"""The parts of one file on their way into a multipart upload, and its completion."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum
from functools import partial

from preflight.oss.body import SliceBody
from preflight.oss.errors import Missing, OssUnavailable
from preflight.oss.models import Part
from preflight.upload.context import Context
from preflight.upload.local_file import LocalFile
from preflight.upload.resume import LeftUpload
from preflight.upload.workers import Postponed


class PartState(Enum):
    """How far the upload came."""

    FILLING = "parts go up"
    FULL = "every part is in the bucket and right"
    LOST = "somebody completed or aborted the upload meanwhile"
    VISIBLE = "the object is there"


class PartUpload:
    """The second machine of a large file: FILLING, FULL, VISIBLE.

    What an earlier run `left` is compared with the local bytes instead of being sent.
    From FILLING and FULL it may become LOST, as another machine or a lifecycle rule
    can cause; then another `PartUpload` takes its place.
    """

    def __init__(
        self,
        local: LocalFile,
        context: Context,
        *,
        left: LeftUpload | None = None,
        forbid_overwrite: bool = False,
    ) -> None:
        self._local, self._context = local, context
        self._forbid_overwrite = forbid_overwrite
        self._id = left.upload_id if left else ""
        self._held: Mapping[int, Part] = left.parts if left else {}
        self._right: dict[int, Part] = {}
        self._beginning = threading.Lock()
        self.state = PartState.FILLING
        self.crc = 0

    def missing(self) -> list[int]:
        """The parts that are not known to be in the bucket and right."""
        return [n for n in self._local.numbers if n not in self._right]

    def do(self, number: int, buffer: memoryview) -> bool:
        """Bring one part into the bucket; whether it is there now."""
        # Of a lost upload only one thread hears first: the others need not ask.
        if self.state is PartState.LOST:
            return False
        return self._is_held(number, buffer) or self._send(number, buffer)

    def hold(self, parts: Iterable[Part]) -> None:
        """What the bucket lists now: to be compared, not sent."""
        self._held = {part.number: part for part in parts}

    def take_over(self, part: Part) -> bool:
        """Take a part for right that somebody else compared; whether it was missing."""
        is_new = part.number not in self._right
        self._right[part.number] = part
        return is_new

    @property
    def fresh(self) -> bool:
        """Whether there is no upload yet."""
        return not self._id

    @property
    def right(self) -> Mapping[int, Part]:
        """The parts that are in the bucket and right, by number."""
        return self._right

    def end(self) -> None:
        """Every part is there."""
        self.crc = self._local.joined({n: p.crc64 or 0 for n, p in self._right.items()})
        self.state = PartState.FULL

    def _is_held(self, number: int, buffer: memoryview) -> bool:
        """Whether OSS holds this part with the local bytes."""
        held = self._held.get(number)
        if held is None:
            return False
        if held.crc64 is None:
            right = self._has_etag(number, held, buffer)
        else:
            right = self._local.sum(number, buffer) == held.crc64
        if right:
            self._right[number] = replace(held, crc64=self._local.sum(number, buffer))
        else:
            # One wrong part means another training's file: to read the rest only to
            # find it wrong, too, would be to read it twice.
            self._held = {}
        return right

    def _has_etag(self, number: int, held: Part, buffer: memoryview) -> bool:
        """Compare by ETag, a part's MD5: not every server lists the CRC-64."""
        digest = hashlib.md5(usedforsecurity=False)
        for block in self._local.blocks(number, buffer):
            digest.update(block)
        return held.etag.upper() == digest.hexdigest().upper()

    def _send(self, number: int, buffer: memoryview) -> bool:
        def make() -> SliceBody:
            # Asked anew for each attempt: no retry begins once the run is ending.
            self._context.workers.check()
            return self._local.body(number, buffer)

        key, client = self._local.item.key, self._context.client
        upload_id = self.begin()
        clock = client.again.clock
        began = clock.now()
        try:
            part = client.upload_part(key, upload_id, number, make, once=True)
        except Missing:
            self.state = PartState.LOST
            return False
        except OssUnavailable as exc:
            self._context.flow(self._local.item.name, number, 0)
            raise Postponed(exc, probe=partial(client.reach, key)) from exc
        self._local.sent(part)
        self._right[number] = part
        self._context.took_part(part.size, clock.now() - began)
        return True

    def begin(self) -> str:
        """The upload's id. The first part to be sent begins it, and only that one.

        A file whose object turns out to be there already thus leaves no upload.
        """
        with self._beginning:
            if not self._id:
                self._id = self._context.client.initiate(self._local.item.key)
            return self._id

    def publish(self) -> None:
        """Make the object visible; LOST when the parts are gone.

        Raises `VerificationFailed` when the object is not the sum of its parts.
        """
        parts = [self._right[number] for number in self._local.numbers]
        try:
            self.crc = self._context.client.complete(
                self._local.item.key,
                self._id,
                parts,
                # Where nothing lay, another machine's object must not be replaced.
                forbid_overwrite=self._forbid_overwrite,
            )
        except Missing:
            self.state = PartState.LOST
        else:
            self.state = PartState.VISIBLE

    def give_up(self) -> None:
        """Abort it, if it was begun and is not completed."""
        upload_id, self._id = self._id, ""
        if upload_id and self.state is not PartState.VISIBLE:
            self._context.client.abort(self._local.item.key, upload_id)
