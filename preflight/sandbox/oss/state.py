"""Buckets, objects and uploads: the behaviour of OSS without any HTTP.

Every method is safe to call from many threads. A body is streamed to the storage
first; an object becomes visible in one step at the end of a put or a completion (OSS
docs, "Strong consistency"), so nobody ever sees half of one.
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from preflight.directories import temporary_directory
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.sandbox.oss import checks, records
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.index import Change, Index
from preflight.sandbox.oss.records import (
    Attributes,
    Bucket,
    Part,
    StoredObject,
    Upload,
)
from preflight.sandbox.oss.storage import Content, Storage, join

Pieces = Iterable[memoryview | bytes]


def _temporary() -> Path:
    made = temporary_directory("sandbox-oss-")
    if isinstance(made, Unavailable):
        raise UsageError(made.reason, hint="or give --state with a directory")
    return made


class OssState:
    """All that the fake OSS knows.

    With a `directory` the buckets outlive the process: opening the same one again
    goes on where the last run stopped, however it stopped. Without one they live in a
    temporary directory that `close()` removes. `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        *,
        directory: Path | None = None,
        digests: bool = False,
        region: str = "ap-southeast-1",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.region = region
        self.clock = clock
        self.digests = digests
        self.credentials: dict[str, Credential] = {}
        self._lock = threading.RLock()
        self._callbacks: list[Callable[[str, str], None]] = []
        self._temporary = directory is None
        self._directory = directory or _temporary()
        self._directory.mkdir(parents=True, exist_ok=True)
        self._index = Index(self._directory / "index.jsonl")
        self._buckets = records.load(self._index.tables)
        self._storage = Storage(self._directory / "bodies", digests=digests)
        self._storage.remove_all_but(self._contents())

    def close(self) -> None:
        """Release the files; a temporary directory goes away."""
        self._index.close()
        if self._temporary:
            shutil.rmtree(self._directory, ignore_errors=True)

    def on_change(self, callback: Callable[[str, str], None]) -> None:
        """Call back with (bucket, key) after each put, completion and deletion."""
        self._callbacks.append(callback)

    # Keys of the account

    def add_credential(self, credential: Credential) -> None:
        """Accept this key; one with the same id is replaced."""
        self.credentials[credential.id] = credential

    def expire(self, access_key_id: str) -> None:
        """From now on the key's token is expired."""
        known = self.credentials.get(access_key_id)
        if known is not None:
            self.add_credential(replace(known, expires_at=self.clock()))

    # Buckets

    def buckets(self) -> list[Bucket]:
        """All buckets by name."""
        with self._lock:
            return sorted(self._buckets.values(), key=lambda item: item.name)

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name, or NoSuchBucket."""
        with self._lock:
            found = self._buckets.get(name)
        if found is None:
            checks.check_bucket_name(name)
            raise OssError("NoSuchBucket", details={"BucketName": name})
        return found

    def create_bucket(
        self,
        name: str,
        *,
        region: str = "",
        storage_class: str = "Standard",
        acl: str = "private",
        tags: Mapping[str, str] | None = None,
    ) -> Bucket:
        """A new bucket; the same one again is no error (OSS docs, "PutBucket")."""
        checks.check_bucket_name(name)
        checks.check_storage_class(storage_class)
        created = Bucket(
            name,
            region or self.region,
            storage_class,
            acl,
            self.clock(),
            dict(tags or {}),
        )
        with self._lock:
            known = self._buckets.setdefault(name, created)
            if known.region != created.region or known.storage_class != storage_class:
                raise OssError("BucketAlreadyExists", details={"BucketName": name})
            self._index.write([records.bucket_row(known)])
        return known

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket; objects or open uploads make it BucketNotEmpty."""
        with self._lock:
            bucket = self.bucket(name)
            if bucket.objects or bucket.uploads:
                raise OssError("BucketNotEmpty", details={"BucketName": name})
            del self._buckets[name]
            self._index.write([("buckets", name, None)])

    def set_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Replace all tags of a bucket."""
        with self._lock:
            bucket = self.bucket(name)
            bucket.tags.clear()
            bucket.tags.update(tags)
            self._index.write([records.bucket_row(bucket)])

    # Objects

    def objects(self, bucket: str, prefix: str = "") -> list[StoredObject]:
        """The objects whose key starts so, in key order."""
        with self._lock:
            found = self.bucket(bucket).objects
            return [found[key] for key in sorted(found) if key.startswith(prefix)]

    def object(self, bucket: str, key: str) -> StoredObject:
        """One object, or NoSuchKey."""
        with self._lock:
            found = self.bucket(bucket).objects.get(key)
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
        self._check_overwrite(bucket, key, forbid_overwrite)
        content = self._receive(pieces, offset=0, size=size, md5=md5)
        attributes = attributes or Attributes(self.bucket(bucket).storage_class)
        made = StoredObject(key, content, content.md5, self.clock(), attributes)
        with self._lock, self._dropping(content):
            self._check_overwrite(bucket, key, forbid_overwrite)
            self._publish(bucket, made, [])
        self._changed(bucket, key)
        return made

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; one that is not there is no error ("DeleteObject")."""
        checks.check_key(key)
        with self._lock:
            old = self.bucket(bucket).objects.pop(key, None)
            if old is None:
                return
            self._index.write([records.gone("objects", bucket, key)])
        self._storage.remove(old.content)
        self._changed(bucket, key)

    def stream(self, found: StoredObject, start: int, length: int) -> Iterator[bytes]:
        """Bytes of an object in pieces; ContentNotKept comes before the first."""
        return self._storage.read(found.content, start, length)

    def read(self, bucket: str, key: str, start: int, length: int) -> bytes:
        """Bytes of an object, fewer at its end.

        Raises OssError (NoSuchKey, NoSuchBucket), or ContentNotKept in digest mode
        for bytes that were only counted.
        """
        return b"".join(self.stream(self.object(bucket, key), start, length))

    # Multipart uploads

    def uploads(self, bucket: str) -> list[Upload]:
        """The open uploads by key and id."""
        with self._lock:
            found = self.bucket(bucket).uploads.values()
            return sorted(found, key=lambda item: (item.key, item.id))

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """An open upload of that key, or NoSuchUpload."""
        with self._lock:
            found = self.bucket(bucket).uploads.get(upload_id)
        if found is None or found.key != key:
            raise OssError("NoSuchUpload", details={"UploadId": upload_id})
        return found

    def parts(self, bucket: str, key: str, upload_id: str) -> list[Part]:
        """The parts of an open upload by number, or NoSuchUpload."""
        with self._lock:
            found = self.upload(bucket, key, upload_id).parts
            return [found[number] for number in sorted(found)]

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
        self._check_overwrite(bucket, key, forbid_overwrite)
        attributes = attributes or Attributes(self.bucket(bucket).storage_class)
        made = Upload(uuid.uuid4().hex.upper(), key, self.clock(), attributes, {})
        with self._lock:
            self.bucket(bucket).uploads[made.id] = made
            self._index.write([records.upload_row(bucket, made)])
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
        content = self._receive(pieces, offset=offset, size=size, md5=md5)
        part = Part(number, content, content.md5, self.clock())
        with self._lock, self._dropping(content):
            upload = self.upload(bucket, key, upload_id)  # it may be gone by now
            old = upload.parts.get(number)
            upload.parts[number] = part
            self._index.write([records.part_row(bucket, upload_id, part)])
        if old is not None:
            self._storage.remove(old.content)
        return part

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Drop an upload and its parts."""
        with self._lock:
            upload = self.upload(bucket, key, upload_id)
            del self.bucket(bucket).uploads[upload_id]
            self._index.write(records.upload_gone(bucket, upload))
        for part in upload.parts.values():
            self._storage.remove(part.content)

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
        with self._lock:
            upload = self.upload(bucket, key, upload_id)
            chosen = records.chosen_parts(upload, listed)
            self._check_overwrite(bucket, key, forbid_overwrite)
            content = join(part.content for part in chosen)
            if content.size > checks.MAX_OBJECT:
                raise OssError("EntityTooLarge")
            etag = records.joined_etag(chosen)
            attributes = replace(upload.attributes, kind="Multipart")
            made = StoredObject(key, content, etag, self.clock(), attributes)
            del self.bucket(bucket).uploads[upload_id]
            self._publish(bucket, made, records.upload_gone(bucket, upload))
        used = {part.number for part in chosen}
        for part in upload.parts.values():
            if part.number not in used:
                self._storage.remove(part.content)
        self._changed(bucket, key)
        return made

    # Helpers

    def _receive(
        self, pieces: Pieces, *, offset: int, size: int | None, md5: bytes | None
    ) -> Content:
        if (size or 0) > checks.MAX_PUT:
            raise checks.too_large(size or 0)
        pieces = checks.at_most(pieces, checks.MAX_PUT)
        content = self._storage.write(pieces, offset=offset, size=size)
        with self._dropping(content):
            checks.check_md5(md5, content.md5)
        return content

    def _dropping(self, content: Content) -> records.OnError:
        """Remove the bytes again if the block raises."""
        return records.OnError(lambda: self._storage.remove(content))

    def _check_overwrite(self, bucket: str, key: str, forbid: bool) -> None:
        known = key in self.bucket(bucket).objects
        if forbid and known:  # OSS docs, "HTTP status code 409"
            raise OssError("FileAlreadyExists", details={"Key": key})

    def _publish(self, bucket: str, made: StoredObject, also: list[Change]) -> None:
        objects = self.bucket(bucket).objects
        old = objects.get(made.key)
        objects[made.key] = made
        self._index.write([records.object_row(bucket, made), *also])
        if old is not None:
            self._storage.remove(old.content)

    def _changed(self, bucket: str, key: str) -> None:
        for callback in tuple(self._callbacks):
            callback(bucket, key)

    def _contents(self) -> Iterator[Content]:
        for bucket in self._buckets.values():
            yield from (item.content for item in bucket.objects.values())
            for upload in bucket.uploads.values():
                yield from (part.content for part in upload.parts.values())
