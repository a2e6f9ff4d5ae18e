"""Multipart uploads: parts arrive in any order, and become an object in one step."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

from preflight.sandbox.oss import checks, records
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.records import Attributes, Part, StoredObject, Upload
from preflight.sandbox.oss.state.core import Pieces
from preflight.sandbox.oss.state.objects import Objects


class Uploads(Objects):
    """The open uploads of all buckets."""

    def uploads(self, bucket: str) -> list[Upload]:
        """The open uploads by key and id."""
        return list(self.walk_uploads(bucket))

    def walk_uploads(
        self, bucket: str, prefix: str = "", after: tuple[str, str] = ("", "")
    ) -> Iterator[Upload]:
        """The same behind a (key, upload id), a few at a time."""
        self.bucket(bucket)
        return self._tables.uploads(bucket, prefix, after)

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """An open upload of that key, or NoSuchUpload."""
        self.bucket(bucket)
        found = self._tables.upload(bucket, upload_id)
        if found is None or found.key != key:
            raise OssError("NoSuchUpload", details={"UploadId": upload_id})
        return found

    def parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = -1
    ) -> list[Part]:
        """Parts of an open upload by number, or NoSuchUpload; `limit` -1 for all."""
        with self._db.read():
            self.upload(bucket, key, upload_id)
            return self._tables.parts(upload_id, after, limit)

    def initiate(
        self,
        bucket: str,
        key: str,
        attributes: Attributes | None = None,
        *,
        forbid_overwrite: bool = False,
    ) -> Upload:
        """Begin a multipart upload; raises InvalidObjectName, FileAlreadyExists."""
        checks.check_key(key)
        attributes = attributes or Attributes(self.bucket(bucket).storage_class)
        made = Upload(uuid.uuid4().hex.upper(), key, self.clock(), attributes)
        with self._db.write():
            self._check_overwrite(bucket, key, forbid_overwrite)
            self._tables.keep_upload(bucket, made)
        return made

    def put_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        pieces: Pieces,
        *,
        size: int | None = None,
        md5: bytes | None = None,
    ) -> Part:
        """Store one part; the same number again replaces it ("UploadPart").

        Raises OssError: NoSuchUpload, EntityTooLarge, InvalidDigest.
        """
        self.upload(bucket, key, upload_id)
        # where the part will lie if all parts are of one size
        offset = (number - 1) * (checks.MAX_PUT if size is None else size)
        body = self._receive(pieces, offset=offset, size=size, md5=md5)
        with self._kept(body), self._db.write():
            self.upload(bucket, key, upload_id)  # it may be gone by now
            old = self._tables.part(upload_id, number)
            content = self._tables.add_received(body)
            part = Part(number, content, body.md5, self.clock())
            self._tables.keep_part(upload_id, part)
            gone = self._drop(old)
        self._storage.remove(gone)
        return part

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Drop an upload and its parts."""
        with self._db.write():
            self.upload(bucket, key, upload_id)
            gone = self._tables.drop_upload(upload_id)
        self._storage.remove(gone)

    def complete(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        listed: Sequence[tuple[int, str]],
        *,
        forbid_overwrite: bool = False,
    ) -> StoredObject:
        """Make the object of the listed (part number, ETag) in one step.

        Raises OssError: NoSuchUpload, InvalidPartOrder, InvalidPart, EntityTooSmall,
        EntityTooLarge, FileAlreadyExists; the upload stays open then.
        """
        with self._db.write():
            upload = self.upload(bucket, key, upload_id)
            parts = {part.number: part for part in self._tables.parts(upload_id)}
            chosen = records.chosen_parts(upload_id, parts, listed)
            self._check_overwrite(bucket, key, forbid_overwrite)
            if sum(part.content.size for part in chosen) > checks.MAX_OBJECT:
                raise OssError("EntityTooLarge")
            content = self._tables.join([part.content for part in chosen])
            attributes = replace(upload.attributes, kind="Multipart")
            etag = records.joined_etag(chosen)
            made = StoredObject(key, content, etag, self.clock(), attributes)
            gone = self._publish(bucket, made) + self._tables.drop_upload(upload_id)
        self._storage.remove(gone)
        self._changed(bucket, key)
        return made
