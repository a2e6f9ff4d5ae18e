"""One bucket through oss2: typed values in and out, typed errors, retries, no logs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from preflight.errors import PreflightError, TransferError
from preflight.oss.access import CredentialsSource, OssAccess
from preflight.oss.answers import (
    BucketInfo,
    ListedObject,
    ObjectHead,
    Part,
    PendingUpload,
    parse_parts,
)
from preflight.oss.crc import combine_all
from preflight.oss.faults import (
    KeysExpired,
    Missing,
    Occupied,
    Skewed,
    not_oss,
    translated,
)
from preflight.oss.keyring import KeyRing
from preflight.oss.retry import Retry, Transient
from preflight.oss.session import open_bucket, open_session, silence_oss2
from preflight.oss.source import Body

if TYPE_CHECKING:
    from oss2.models import PutObjectResult, RequestResult

T = TypeVar("T")

PROBE_PREFIX = ".preflight-probe-"
_PAGE = 1000  # the most that OSS lists at once
_SAME_TIME = 60.0  # seconds; a clock that is off by less was not the fault
# https://www.alibabacloud.com/help/en/oss/developer-reference/putobject, read 2026-11
_NO_OVERWRITE = {"x-oss-forbid-overwrite": "true"}


def _check_answer(action: str, result: RequestResult) -> None:
    """Give the connection back; raise unless OSS itself answered."""
    result.resp.read()
    if not result.request_id:
        raise not_oss(action, result.status)


def _check_crc(action: str, sent: int, result: PutObjectResult) -> None:
    stored = result.crc
    if stored is None:
        raise TransferError(
            f"{action}: OSS did not return a CRC-64", request_id=result.request_id
        )
    if stored != sent:
        raise Transient(
            f"{action}: the bytes were damaged on their way "
            f"(CRC-64 {sent:016x} sent, {stored:016x} stored)",
            request_id=result.request_id,
        )


def _whole(action: str, parts: list[Part]) -> tuple[int, int]:
    """Size in bytes and CRC-64 of all parts laid end to end."""
    known = [(part.crc64, part.size) for part in parts if part.crc64 is not None]
    if len(known) != len(parts):
        raise TransferError(f"{action}: OSS did not return the CRC-64 of every part")
    return sum(size for _, size in known), combine_all(known)


class BucketClient:
    """The calls that an upload needs, each retried where asking twice is harmless.

    All raise `AccessDenied`, `ConfigurationError`, `UsageError` (no such bucket) or
    `TransferError`. `timeout` is (connect, read) in seconds. `credentials` is asked for
    other keys once OSS calls those of `access` ended. While `hurry` is set, the pauses
    between attempts are left out. Close it, or use `with`.
    """

    def __init__(
        self,
        access: OssAccess,
        bucket: str,
        *,
        connections: int = 10,
        timeout: tuple[float, float] = (10.0, 60.0),
        retry: Retry | None = None,
        credentials: CredentialsSource | None = None,
    ) -> None:
        silence_oss2()
        self.access = access
        self.bucket = bucket
        self.hurry = threading.Event()
        self._retry = retry or Retry(sleep=self._pause)
        self._ring = KeyRing(access.keys, credentials)
        self._session = open_session(connections, is_local=access.is_local)
        with translated(f"open {bucket}", access):
            self._oss = open_bucket(access, bucket, self._session, timeout, self._ring)

    def __enter__(self) -> BucketClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._session.session.close()

    def _pause(self, seconds: float) -> None:
        self.hurry.wait(seconds)

    def _once(self, action: str, call: Callable[[], T]) -> T:
        with translated(action, self.access):
            result = call()
            _check_answer(action, result)
        return result

    def _mended(self, call: Callable[[], T]) -> T:
        """Call, and again with fresh keys or the right time if that was the fault."""
        for _ in range(2):  # both may be wrong
            keys, ahead = self._ring.keys, self._ring.ahead
            try:
                return call()
            except KeysExpired:
                if not self._ring.refresh(keys):
                    raise
                self.access = self.access.with_keys(self._ring.keys)
            except Skewed as exc:
                if abs(exc.ahead - ahead) < _SAME_TIME:
                    raise
                self._ring.ahead = exc.ahead
        return call()

    def _retried(self, call: Callable[[], T]) -> T:
        return self._retry.call(lambda: self._mended(call))

    def _ask(self, action: str, call: Callable[[], T]) -> T:
        return self._retried(lambda: self._once(action, call))

    def _send(
        self,
        action: str,
        make: Callable[[], Body],
        call: Callable[[Body | bytes], PutObjectResult],
    ) -> tuple[PutObjectResult, Body]:
        """Send a body made anew for each attempt; the answer and the body sent."""

        def attempt() -> tuple[PutObjectResult, Body]:
            body = make()
            # An empty file-like body would be sent chunked, without a length.
            result = self._once(action, lambda: call(body if body.len else b""))
            _check_crc(action, body.crc, result)
            return result, body

        return self._retried(attempt)

    def head(self, key: str) -> ObjectHead | None:
        """What is stored under `key`; None when nothing is."""
        try:
            result = self._ask(f"look at {key}", lambda: self._oss.head_object(key))
        except Missing:
            return None
        if result.content_length is None:
            raise not_oss(f"look at {key}", result.status)
        storage_class = result.headers.get("x-oss-storage-class", "Standard")
        return ObjectHead(key, result.content_length, result.server_crc, storage_class)

    def put(
        self, key: str, make: Callable[[], Body], *, forbid_overwrite: bool = False
    ) -> int:
        """Store one object from `make()`'s body; its CRC-64, compared with OSS's.

        With `forbid_overwrite` an object that is there must hold these very bytes.
        """
        headers = _NO_OVERWRITE if forbid_overwrite else {}
        put = partial(self._oss.put_object, key, headers=headers)
        try:
            return self._send(f"put {key}", make, put)[1].crc
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
        result = self._ask(f"begin {key}", lambda: self._oss.init_multipart_upload(key))
        return str(result.upload_id)

    def upload_part(
        self, key: str, upload_id: str, number: int, make: Callable[[], Body]
    ) -> Part:
        """Send part `number` (from 1) from `make()`'s body; CRC-64 compared."""
        put = partial(self._oss.upload_part, key, upload_id, number)
        result, body = self._send(f"part {number} of {key}", make, put)
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

        action = f"complete {key}"
        size, crc = _whole(action, parts)
        infos = [PartInfo(part.number, part.etag) for part in parts]
        headers = _NO_OVERWRITE if forbid_overwrite else {}
        finish = partial(
            self._oss.complete_multipart_upload, key, upload_id, infos, headers=headers
        )

        def attempt() -> int | None:
            try:
                result = self._once(action, finish)
            except (Transient, Missing, Occupied):
                if self._holds(key, size, crc):
                    return crc
                raise
            return result.crc  # type: ignore[no-any-return]

        stored = self._retried(attempt)
        if stored != crc and not self._holds(key, size, crc):
            raise TransferError(f"{action}: the object is not the sum of its parts")
        return crc

    def abort(self, key: str, upload_id: str) -> None:
        """Drop a multipart upload and its parts; one that is gone is fine."""
        try:
            self._ask(
                f"abort {key}", lambda: self._oss.abort_multipart_upload(key, upload_id)
            )
        except Missing:
            return

    def list_parts(self, key: str, upload_id: str) -> Iterator[Part]:
        """All parts of a multipart upload, by number, over all pages."""
        parts, marker = self._parts_page(key, upload_id, "")
        yield from parts
        while marker:
            parts, marker = self._parts_page(key, upload_id, marker)
            yield from parts

    def _parts_page(
        self, key: str, upload_id: str, marker: str
    ) -> tuple[list[Part], str]:
        action = f"list the parts of {key}"
        query = {
            "uploadId": upload_id,
            "part-number-marker": marker,
            "max-parts": str(_PAGE),
        }

        def attempt() -> tuple[list[Part], str]:
            with translated(action, self.access):
                # oss2 offers no public call that leaves the body to us.
                answer = self._oss._do("GET", self.bucket, key, params=query)  # noqa: SLF001
                return parse_parts(answer.read())

        return self._retried(attempt)

    def list_uploads(self, prefix: str) -> Iterator[PendingUpload]:
        """All unfinished multipart uploads below `prefix`, over all pages."""
        call = partial(
            self._oss.list_multipart_uploads, prefix=prefix, max_uploads=_PAGE
        )
        action, markers, more = f"list uploads below {prefix}", ("", ""), True
        while more:
            page = self._ask(
                action,
                partial(call, key_marker=markers[0], upload_id_marker=markers[1]),
            )
            for found in page.upload_list:
                yield PendingUpload(found.key, found.upload_id)
            markers = (page.next_key_marker, page.next_upload_id_marker)
            more = page.is_truncated

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """All objects below `prefix`, in key order, over all pages."""
        call = partial(self._oss.list_objects_v2, prefix, max_keys=_PAGE)
        token, more = "", True
        while more:
            page = self._ask(f"list {prefix}", partial(call, continuation_token=token))
            for found in page.object_list:
                yield ListedObject(found.key, found.size, found.storage_class)
            token, more = page.next_continuation_token, page.is_truncated

    def bucket_info(self) -> BucketInfo:
        """Region and storage class of the bucket."""
        info = self._ask(f"ask about {self.bucket}", self._oss.get_bucket_info)
        region = str(info.location).removeprefix("oss-")
        return BucketInfo(str(info.name), region, str(info.storage_class))

    def tags(self) -> Mapping[str, str]:
        """The bucket's tags."""
        try:
            answer = self._ask(
                f"ask for the tags of {self.bucket}", self._oss.get_bucket_tagging
            )
        except Missing:  # what the S3 protocol says of a bucket without tags
            return {}
        return dict(answer.tag_set.tagging_rule)

    def delete_probe(self, key: str) -> None:
        """Delete an object that `doctor` wrote; refuses every other key."""
        if not key.rpartition("/")[2].startswith(PROBE_PREFIX):
            raise PreflightError(f"{key} is not a probe of ours")
        self._ask(f"delete {key}", lambda: self._oss.delete_object(key))
