"""Objects: put, read, delete; each becomes visible, or goes, in one step."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.sandbox.oss import checks
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.records import Attributes, StoredObject
from preflight.sandbox.oss.state.core import Core, Pieces
from preflight.sandbox.oss.storage import Reader


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
