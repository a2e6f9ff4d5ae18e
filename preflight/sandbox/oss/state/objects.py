"""Objects: put, read, delete; each becomes visible, or goes, in one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal

from preflight.sandbox.oss import checks
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.records import Attributes, Stat, StoredObject
from preflight.sandbox.oss.state.core import Core, Pieces
from preflight.sandbox.oss.storage import Reader

_APPENDED: Literal["Appendable"] = "Appendable"


class Objects(Core):
    """The objects of all buckets."""

    def objects(self, bucket: str, prefix: str = "") -> list[StoredObject]:
        """The objects whose key starts so, in key order."""
        self.bucket(bucket)
        return list(self._tables.objects(bucket, prefix))

    def walk(
        self, bucket: str, prefix: str = "", after: str = ""
    ) -> Iterator[StoredObject]:
        """The same behind the key `after`, a few at a time, for listings in pages."""
        self.bucket(bucket)
        return self._tables.objects(bucket, prefix, after)

    def find(self, bucket: str, key: str) -> StoredObject | None:
        """One object, or None."""
        return self._tables.object(bucket, key)

    def object(self, bucket: str, key: str) -> StoredObject:
        """One object, or NoSuchKey."""
        self.bucket(bucket)
        found = self._tables.object(bucket, key)
        if found is None:
            raise OssError("NoSuchKey", details={"Key": key})
        return found

    def put(
        self,
        bucket: str,
        key: str,
        pieces: Pieces,
        *,
        size: int | None = None,
        md5: bytes | None = None,
        attributes: Attributes | None = None,
        forbid_overwrite: bool = False,
    ) -> StoredObject:
        """Store an object; `size` is the announced length in bytes.

        Raises OssError: InvalidObjectName, FileAlreadyExists, EntityTooLarge,
        InvalidDigest, NoSuchBucket. Whatever is raised leaves the bucket as it was.
        """
        checks.check_key(key)
        attributes = attributes or Attributes(self.bucket(bucket).storage_class)
        self._check_overwrite(bucket, key, forbid_overwrite)
        body = self._receive(pieces, offset=0, size=size, md5=md5)
        with self._kept(body), self._db.write():
            self._check_overwrite(bucket, key, forbid_overwrite)
            content = self._tables.add_received(body)
            made = StoredObject(key, content, body.md5, self.clock(), attributes)
            gone = self._publish(bucket, made)
        self._storage.remove(gone)
        self._changed(bucket, key)
        return made

    def append(
        self,
        bucket: str,
        key: str,
        position: int,
        pieces: Pieces,
        *,
        size: int | None = None,
        md5: bytes | None = None,
        attributes: Attributes | None = None,
    ) -> StoredObject:
        """Add bytes to the end of an object that was begun so ("AppendObject").

        Raises OssError: ObjectNotAppendable, PositionNotEqualToLength, and all that
        `put` raises.
        """
        checks.check_key(key)
        attributes = attributes or Attributes(self.bucket(bucket).storage_class)
        self._check_position(bucket, key, position)
        body = self._receive(pieces, offset=position, size=size, md5=md5)
        with self._kept(body), self._db.write():
            old = self._check_position(bucket, key, position)
            added = self._tables.add_received(body)
            attributes = replace(old.attributes if old else attributes, kind=_APPENDED)
            content = self._tables.join([old.content, added] if old else [added])
            gone = self._tables.drop_content(added)
            # "The ETag of an appendable object is not the MD5 of its content"
            etag = f"{content.crc64:016X}{content.size:016X}"
            made = StoredObject(key, content, etag, self.clock(), attributes)
            gone += self._publish(bucket, made)
        self._storage.remove(gone)
        self._changed(bucket, key)
        return made

    def _check_position(
        self, bucket: str, key: str, position: int
    ) -> StoredObject | None:
        self.bucket(bucket)
        old = self._tables.object(bucket, key)
        if old is not None and old.attributes.kind != _APPENDED:
            raise OssError("ObjectNotAppendable", details={"ObjectName": key})
        length = old.size if old else 0
        if position != length:
            raise OssError("PositionNotEqualToLength", details={"Length": str(length)})
        return old

    def copy(
        self,
        bucket: str,
        key: str,
        found: StoredObject,
        attributes: Attributes,
        *,
        forbid_overwrite: bool = False,
    ) -> StoredObject:
        """A new object with the bytes of another, of which none is moved.

        Raises OssError: InvalidObjectName, FileAlreadyExists, NoSuchBucket, NoSuchKey
        if the source is not this one any more.
        """
        checks.check_key(key)
        with self._db.write():
            self._check_overwrite(bucket, key, forbid_overwrite)
            spans = self._tables.spans(found.content)
            if not spans:
                raise OssError("NoSuchKey", details={"Key": found.key})
            content = self._tables.add_content(spans, found.crc64, found.content.md5)
            made = StoredObject(key, content, found.etag, self.clock(), attributes)
            gone = self._publish(bucket, made)
        self._storage.remove(gone)
        self._changed(bucket, key)
        return made

    def set_object_tags(self, bucket: str, key: str, tags: Mapping[str, str]) -> None:
        """Replace all tags of an object, whose bytes and time stay."""
        with self._db.write():
            found = self.object(bucket, key)
            attributes = replace(found.attributes, tags=dict(tags))
            self._tables.keep_object(bucket, replace(found, attributes=attributes))

    def stat(self, bucket: str) -> Stat:
        """How much a bucket holds."""
        return self._tables.stat(bucket)

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; one that is not there is no error ("DeleteObject")."""
        checks.check_key(key)
        with self._db.write():
            self.bucket(bucket)
            old = self._tables.object(bucket, key)
            if old is None:
                return
            self._tables.drop_object(bucket, key)
            gone = self._drop(old)
        self._storage.remove(gone)
        self._changed(bucket, key)

    def stream(self, found: StoredObject, start: int, length: int) -> Reader:
        """Bytes of an object in pieces, also when it is replaced meanwhile.

        Raises ContentNotKept in digest mode for bytes that were only counted, and
        OssError NoSuchKey if the object is not this one any more.
        """
        with self._db.read():
            spans = self._tables.spans(found.content, start, length)
            if not spans and length and start < found.size:
                raise OssError("NoSuchKey", details={"Key": found.key})
            return self._storage.read(spans)

    def read(self, bucket: str, key: str, start: int, length: int) -> bytes:
        """Bytes of an object, fewer at its end.

        Raises OssError (NoSuchKey, NoSuchBucket), or ContentNotKept in digest mode
        for bytes that were only counted.
        """
        with self._db.read():
            pieces = self.stream(self.object(bucket, key), start, length)
        return b"".join(pieces)

    def _check_overwrite(self, bucket: str, key: str, forbid: bool) -> None:
        self.bucket(bucket)
        if forbid and self._tables.object(bucket, key) is not None:
            # OSS docs, "HTTP status code 409"
            raise OssError("FileAlreadyExists", details={"Key": key})

    def _publish(self, bucket: str, made: StoredObject) -> list[str]:
        """Make the object the one of its key; the files that are of no more use."""
        old = self._tables.object(bucket, made.key)
        self._tables.keep_object(bucket, made)
        return self._drop(old)
