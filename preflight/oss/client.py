"""The calls that an upload needs: typed values in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from preflight.catalog.permissions import Permission
from preflight.crc import combine_all
from preflight.errors import TransferError, VerificationFailed
from preflight.language import say
from preflight.oss.body import Body
from preflight.oss.connection import STRIPPED, Connection
from preflight.oss.errors import Missing, Occupied, not_oss, translated
from preflight.oss.models import (
    ListedObject,
    ObjectHead,
    Part,
    PendingUpload,
    parse_parts,
)
from preflight.retry import Transient
from preflight.together import together

if TYPE_CHECKING:
    from oss2.models import SimplifiedObjectInfo

T = TypeVar("T")

PROBE_PREFIX = ".preflight-probe-"
_PAGE = 1000  # the most that OSS lists at once
# https://www.alibabacloud.com/help/en/oss/developer-reference/putobject, read 2026-11
_NO_OVERWRITE = {"x-oss-forbid-overwrite": "true"}


def _joined(action: str, parts: list[Part]) -> tuple[int, int]:
    """Size in bytes and CRC-64 of all parts laid end to end."""
    known = [(part.crc64, part.size) for part in parts if part.crc64 is not None]
    if len(known) != len(parts):
        raise TransferError(
            say("{action}: a part has no CRC-64", action=action), hint=STRIPPED
        )
    return sum(size for _, size in known), combine_all(known)


def _onward(action: str, marker: T, seen: set[T]) -> T:
    """Where a list goes on; raises where it has been, as it would never end."""
    if marker in seen:
        raise TransferError(
            say("{action}: the list does not say where it goes on", action=action)
        )
    seen.add(marker)
    return marker


class BucketClient(Connection):
    """The calls that an upload needs, each retried where asking twice is harmless.

    All raise `AccessDenied`, `ConfigurationError`, `UsageError` (no such bucket) or
    `TransferError`.
    """

    def head(self, key: str) -> ObjectHead | None:
        """What is stored under `key`; None when nothing is."""
        try:
            result = self._ask(
                say("look at {key}", key=key),
                lambda: self._oss.head_object(key),
                self._allow(Permission.GET_OBJECT, key),
            )
        except Missing:
            return None
        if result.content_length is None:
            raise not_oss(say("look at {key}", key=key), result.status)
        storage_class = result.headers.get("x-oss-storage-class", "Standard")
        return ObjectHead(key, result.content_length, result.server_crc, storage_class)

    def heads(self, keys: Iterable[str]) -> dict[str, ObjectHead | None]:
        """What is stored under each of the keys, asked at the same time."""
        wanted = list(keys)
        found = together(partial(self.head, key) for key in wanted)
        return dict(zip(wanted, found, strict=True))

    def reach(self, key: str) -> None:
        """Ask once, for next to nothing, whether OSS answers again.

        Raises what any call raises, and nothing where there is no such object.
        """
        action, call = (
            say("look at {key}", key=key),
            partial(self._oss.head_object, key),
        )
        allow = self._allow(Permission.GET_OBJECT, key)
        # Before the first Complete there is none, and "there is none" is an answer.
        with suppress(Missing):
            self._mended(lambda: self._once(action, call, allow))

    def put(
        self, key: str, make: Callable[[], Body], *, forbid_overwrite: bool = False
    ) -> int:
        """Store one object from `make()`'s body; its CRC-64, compared with OSS's.

        With `forbid_overwrite` an object that is there must hold these very bytes.
        """
        headers = _NO_OVERWRITE if forbid_overwrite else {}
        put = partial(self._oss.put_object, key, headers=headers)
        try:
            allow = self._allow(Permission.PUT_OBJECT, key)
            return self._send(say("put {key}", key=key), make, put, allow)[1].crc
        except Occupied:  # by whom? by us, if the answer to a first attempt was lost
            if not forbid_overwrite:
                raise
            body = make()
            while body.read(-1):
                pass
            if self._holds(key, body.len, body.crc):
                return body.crc
            raise

    def initiate(self, key: str) -> str:
        """Begin a multipart upload; its id."""
        begin = partial(self._oss.init_multipart_upload, key)
        allow = self._allow(Permission.PUT_OBJECT, key)
        result = self._ask(say("begin {key}", key=key), begin, allow)
        return str(result.upload_id)

    def upload_part(
        self,
        key: str,
        upload_id: str,
        number: int,
        make: Callable[[], Body],
        *,
        once: bool = False,
    ) -> Part:
        """Send part `number` (from 1) from `make()`'s body; CRC-64 compared.

        With `once` the caller tries again what passes.
        """
        put = partial(self._oss.upload_part, key, upload_id, number)
        allow = self._allow(Permission.PUT_OBJECT, key)
        action = say("part {number} of {key}", number=number, key=key)
        result, body = self._send(action, make, put, allow, once=once)
        return Part(number, str(result.etag), body.len, body.crc)

    def _holds(self, key: str, size: int, crc: int) -> bool:
        found = self.head(key)
        return found is not None and (found.size, found.crc64) == (size, crc)

    def complete(
        self,
        key: str,
        upload_id: str,
        parts: list[Part],
        *,
        forbid_overwrite: bool = False,
    ) -> int:
        """Make the object of its parts visible; its CRC-64, compared with OSS's.

        All parts need their CRC-64. When the answer is lost, when the upload is gone
        or when the object must not be overwritten, asks whether it is there as wanted.
        """
        from oss2.models import PartInfo

        action = say("complete {key}", key=key)
        size, crc = _joined(action, parts)
        infos = [PartInfo(part.number, part.etag) for part in parts]
        headers = _NO_OVERWRITE if forbid_overwrite else {}
        allow = self._allow(Permission.PUT_OBJECT, key)
        finish = partial(
            self._oss.complete_multipart_upload, key, upload_id, infos, headers=headers
        )

        def attempt() -> int | None:
            try:
                result = self._once(action, finish, allow)
            except (Transient, Missing, Occupied):
                if self._holds(key, size, crc):
                    return crc
                raise
            return result.crc  # type: ignore[no-any-return]

        stored = self._retried(attempt)
        if stored != crc and not self._holds(key, size, crc):
            raise VerificationFailed(
                say("{action}: the object is not the sum of its parts", action=action)
            )
        return crc

    def abort(self, key: str, upload_id: str) -> None:
        """Drop a multipart upload and its parts; one that is gone is fine."""
        try:
            self._ask(
                say("abort {key}", key=key),
                lambda: self._oss.abort_multipart_upload(key, upload_id),
                self._allow(Permission.ABORT_UPLOAD, key),
            )
        except Missing:
            return

    def list_parts(self, key: str, upload_id: str) -> Iterator[Part]:
        """All parts of a multipart upload, by number, over all pages."""
        action, seen = say("list the parts of {key}", key=key), {""}
        parts, marker = self._parts_page(action, key, upload_id, "")
        yield from parts
        while marker:
            at = _onward(action, marker, seen)
            parts, marker = self._parts_page(action, key, upload_id, at)
            yield from parts

    def _parts_page(
        self, action: str, key: str, upload_id: str, marker: str
    ) -> tuple[list[Part], str]:
        query = {
            "uploadId": upload_id,
            "part-number-marker": marker,
            "max-parts": str(_PAGE),
        }

        allow = self._allow(Permission.LIST_PARTS, key)

        def attempt() -> tuple[list[Part], str]:
            with (
                self._watch.waiting(action),
                translated(action, self.access, allow),
            ):
                # ListParts is GET on the object's key. oss2's own call of that name
                # drops each part's CRC-64, which saves us from reading parts again.
                return parse_parts(self._oss.get_object(key, params=query).read())

        return self._retried(attempt)

    def list_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """All unfinished multipart uploads below `prefix`, over all pages."""
        call = partial(
            self._oss.list_multipart_uploads, prefix=prefix, max_uploads=_PAGE
        )
        action, at = say("list uploads below {prefix}", prefix=prefix), ("", "")
        allow = self._allow(Permission.LIST_UPLOADS)
        # A server that names the same marker twice would be asked without end.
        seen = {at}
        while True:
            turn = partial(call, key_marker=at[0], upload_id_marker=at[1])
            page = self._ask(action, turn, allow)
            for found in page.upload_list:
                yield PendingUpload(found.key, found.upload_id)
            if not page.is_truncated:
                return
            there = (page.next_key_marker, page.next_upload_id_marker)
            at = _onward(action, there, seen)

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """All objects below `prefix`, in key order, over all pages."""
        for found in self._objects(prefix):
            yield ListedObject(found.key, found.size, found.storage_class)

    def _objects(self, prefix: str) -> Iterator[SimplifiedObjectInfo]:
        call = partial(self._oss.list_objects_v2, prefix, max_keys=_PAGE)
        action, at = say("list {prefix}", prefix=prefix), ""
        allow = self._allow(Permission.LIST_OBJECTS)
        seen = {at}
        while True:
            page = self._ask(action, partial(call, continuation_token=at), allow)
            yield from page.object_list
            if not page.is_truncated:
                return
            at = _onward(action, page.next_continuation_token or "", seen)

    def tags(self) -> Mapping[str, str]:
        """The bucket's tags."""
        try:
            answer = self._ask(
                say("ask for the tags of {bucket}", bucket=self.bucket),
                self._oss.get_bucket_tagging,
                self._allow(Permission.GET_BUCKET_TAGGING),
            )
        except Missing:  # what the S3 protocol says of a bucket without tags
            return {}
        return dict(answer.tag_set.tagging_rule)
