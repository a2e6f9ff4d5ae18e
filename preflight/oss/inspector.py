"""A bucket looked at more closely than an upload needs to: for checks and reasons."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from preflight.catalog.permissions import Permission
from preflight.catalog.regions import REGIONS
from preflight.errors import ConfigurationError, TransferError
from preflight.language import glued, say
from preflight.oss.body import BLOCK, BytesBody
from preflight.oss.client import PROBE_PREFIX, BucketClient
from preflight.oss.errors import (
    Missing,
    OssUnavailable,
    PermissionMissing,
    not_oss,
    translated,
)
from preflight.oss.models import BucketInfo, PendingUpload, Read, Span
from preflight.text import nearest
from preflight.together import Asked

if TYPE_CHECKING:
    from oss2.models import GetBucketInfoResult

NO_UPLOAD = "0" * 32  # the id of an upload that nobody began
# What the vendor's SDKs write beside an object that they encrypt on the client's side
# (OSS docs, "Client-side encryption").
_SEALED = "x-oss-meta-client-side-encryption-"


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as a listing shows it.

    `size` in bytes, `modified` in whole seconds since 1970 by the clock of OSS.
    """

    key: str
    size: int
    modified: int
    etag: str
    storage_class: str


@dataclass(frozen=True, slots=True)
class BucketDetails:
    """What GetBucketInfo says; `clock_ahead`: seconds that OSS is ahead of us."""

    info: BucketInfo
    acl: str
    versioning: str
    clock_ahead: float | None


class BucketInspector(BucketClient):
    """The calls that only checks need; of them `set_tag` alone changes anything."""

    def details(self) -> BucketDetails:
        """Region, storage class, access control and versioning of the bucket."""
        found = self._info()
        region = str(found.location).removeprefix("oss-")
        info = BucketInfo(str(found.name), region, str(found.storage_class))
        return BucketDetails(
            info,
            str(getattr(found.acl, "grant", "") or ""),
            str(found.versioning_status or ""),
            self.clock_ahead,
        )

    def _info(self) -> GetBucketInfoResult:
        try:
            return self._ask(
                say("ask about {bucket}", bucket=self.bucket),
                self._oss.get_bucket_info,
                self._allow(Permission.GET_BUCKET_INFO),
            )
        except TransferError as error:
            # Its code is the general InvalidArgument: only the sentence tells of it.
            if "Invalid signing region" not in error.message:
                raise
            region = self.access.region
            meant = nearest(region, [each.id for each in REGIONS if each.id != region])
            raise ConfigurationError(
                glued(
                    say(
                        "bucket {name} is not in {region}",
                        name=self.bucket,
                        region=region,
                    ),
                    meant,
                    f" ({error.message})",
                ),
                hint=say("set OSS_REGION to the region that the OSS console shows"),
                request_id=error.request_id,
            ) from error

    def snapshot(self, prefix: str) -> Mapping[str, Stored]:
        """All objects below `prefix` by key, without the console's folder marker."""
        found = {
            each.key: Stored(
                each.key,
                each.size,
                each.last_modified,
                each.etag,
                each.storage_class,
            )
            for each in self._objects(prefix)
        }
        # Making a "folder" in the console leaves an empty object of the prefix's name.
        marker = found.get(prefix)
        if marker is not None and marker.size == 0:
            del found[prefix]
        return found

    def names(self, prefix: str) -> tuple[str, ...]:
        """The names directly under `prefix`, of objects and folders: the first page."""
        page = self._ask(
            say("list {prefix}", prefix=prefix),
            partial(self._oss.list_objects_v2, prefix, delimiter="/", max_keys=1000),
            self._allow(Permission.LIST_OBJECTS),
        )
        keys = (*(each.key for each in page.object_list), *page.prefix_list)
        names = (key.removeprefix(prefix).rstrip("/") for key in keys)
        return tuple(name for name in names if name)

    def set_tag(self, key: str, value: str) -> None:
        """Give the bucket a tag and keep its others; the call replaces them all."""
        from oss2.models import Tagging, TaggingRule

        rule = TaggingRule()
        for name, text in {**self.tags(), key: value}.items():
            rule.add(name, text)
        put = partial(self._oss.put_bucket_tagging, Tagging(rule))
        allow = self._allow(Permission.PUT_BUCKET_TAGGING)
        self._ask(
            say("set the tag {key} of {bucket}", key=key, bucket=self.bucket),
            put,
            allow,
        )

    def read_small(self, key: str, limit: int) -> bytes | None:
        """The first `limit` bytes of an object; None when there is none."""

        allow = self._allow(Permission.GET_OBJECT, key)

        def attempt() -> bytes:
            with translated(say("read {key}", key=key), self.access, allow):
                answer = self._oss.get_object(key)
                try:
                    return bytes(answer.read(limit))
                finally:
                    # What is left unread may be gigabytes: drop the connection instead.
                    answer.resp.response.close()

        try:
            return self._retried(attempt)
        except Missing:
            return None

    def read(self, span: Span, sink: Callable[[int, bytes], None]) -> Read:
        """Hand the bytes of a span to `sink(offset, bytes)`, in order.

        After a failure it begins again at the start of the span. Raises `Missing`, and
        `Superseded` for another object than the span names.
        """
        last = span.start + span.count - 1
        call = partial(
            self._oss.get_object,
            span.key,
            byte_range=(span.start, last),
            headers={"If-Match": f'"{span.etag}"'} if span.etag else {},
        )
        action = say("read {key}", key=span.key)
        allow = self._allow(Permission.GET_OBJECT, span.key)

        def attempt() -> Read:
            with translated(action, self.access, allow):
                answer = call()
                if not answer.request_id or answer.status != 206:
                    answer.resp.response.close()
                    raise not_oss(action, answer.status)
                at = span.start
                while piece := answer.read(BLOCK):
                    sink(at, piece)
                    at += len(piece)
            if at <= last:
                told = say(
                    "{action}: the answer ended {count:,} bytes early",
                    action=action,
                    count=last + 1 - at,
                )
                raise OssUnavailable(told, why=say("answers end early"))
            sealed = any(name.lower().startswith(_SEALED) for name in answer.headers)
            return Read(answer.server_crc, sealed)

        return self._retried(attempt)

    def prove_writable(self, prefix: str, left: PendingUpload | None = None) -> None:
        """Begin an upload below `prefix` and drop it: the same permission as a put.

        Comes after `may_probe`, which finds what is `left` of an earlier one.

        No object ever appears, so an imported model stays valid and no permission to
        delete is needed. Raises `PermissionMissing` for a key that may not write.
        """
        self.abort(*self.begin_probe(prefix, left))

    def may_probe(self, prefix: str) -> PendingUpload | None:
        """The probe that a killed run left below `prefix`, if any.

        Raises `PermissionMissing` for a key that could not remove a probe.
        """
        abortable = Asked(lambda: self.prove_abortable(prefix))
        left = self.left_probe(prefix)
        abortable.result()
        return left

    def left_probe(self, prefix: str) -> PendingUpload | None:
        """The probe that a run left which was killed."""
        try:
            return next(self.list_uploads(f"{prefix}{PROBE_PREFIX}"), None)
        except PermissionMissing:  # told where the uploads themselves are asked for
            return None

    def prove_abortable(self, prefix: str) -> None:
        """Ask to abort what is not there; raises `PermissionMissing` where none may.

        OSS looks at permissions first. So nothing is begun that could not be removed.
        """
        self.abort(probe_key(prefix), NO_UPLOAD)

    def prove_sendable(self, prefix: str) -> None:
        """Send a part to where there is no upload: it needs the permission of a put.

        Nothing is kept of it. Raises `PermissionMissing`.
        """
        with suppress(Missing):
            self.upload_part(probe_key(prefix), NO_UPLOAD, 1, lambda: BytesBody(b"-"))

    def begin_probe(
        self, prefix: str, left: PendingUpload | None = None
    ) -> tuple[str, str]:
        """An upload of a probe below `prefix`: its key and id; never completed.

        The one that is `left` from before is taken, if there is one.
        """
        if left is not None:
            return left.key, left.upload_id
        # OSS docs, "RAM policies": oss:PutObject covers InitiateMultipartUpload.
        key = probe_key(prefix)
        return key, self.initiate(key)


def probe_key(prefix: str) -> str:
    """A key below `prefix` that nobody else uses."""
    return f"{prefix}{PROBE_PREFIX}{secrets.token_hex(4)}"
