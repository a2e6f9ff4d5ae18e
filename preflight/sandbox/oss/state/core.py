"""What all parts of the state share: the tables, the bodies, the clock, the buckets."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from preflight.directories import temporary_directory
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.sandbox.database import Database
from preflight.sandbox.oss import checks
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.policy import Policy
from preflight.sandbox.oss.records import Bucket, Part, StoredObject
from preflight.sandbox.oss.state.tables import Tables
from preflight.sandbox.oss.storage import Received, Storage

Pieces = Iterable[memoryview | bytes]


def _temporary() -> Path:
    made = temporary_directory("sandbox-oss-")
    if isinstance(made, Unavailable):
        raise UsageError(made.reason, hint="or give --state with a directory")
    return made


class Core:
    """Keys of the account and buckets; objects and uploads are added by subclasses."""

    def __init__(
        self,
        *,
        directory: Path | None = None,
        database: Database | None = None,
        digests: bool = False,
        region: str = "ap-southeast-1",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.region = region
        self.clock = clock
        self.digests = digests
        self.strict_v4 = False  # as for accounts made after 2025-03-01
        self.credentials: dict[str, Credential] = {}
        self._callbacks: list[Callable[[str, str], None]] = []
        self._temporary = directory is None
        self._owns_database = database is None
        self._db = database or Database(directory)
        self._tables = Tables(self._db)
        self.directory = directory or _temporary()
        self._storage = Storage(self.directory / "bodies", digests=digests)
        self._storage.remove_all_but(self._tables.knows_file)

    def close(self) -> None:
        """Release the files; a temporary directory goes away."""
        if self._owns_database:
            self._db.close()
        if self._temporary:
            shutil.rmtree(self.directory, ignore_errors=True)

    def on_change(self, callback: Callable[[str, str], None]) -> None:
        """Call back with (bucket, key) after each put, completion and deletion."""
        self._callbacks.append(callback)

    # Keys of the account

    def add_credential(self, credential: Credential) -> None:
        """Accept this key; one with the same id is replaced."""
        self.credentials[credential.id] = credential

    def restrict(self, access_key_id: str, policy: Policy | None) -> None:
        """Make the key that of a RAM user with this policy, or the account's own."""
        known = self.credentials[access_key_id]
        self.add_credential(replace(known, policy=policy))

    def expire(self, access_key_id: str) -> None:
        """From now on the key's token is expired."""
        known = self.credentials.get(access_key_id)
        if known is not None:
            self.add_credential(replace(known, expires_at=self.clock()))

    # Buckets

    def buckets(self) -> list[Bucket]:
        """All buckets by name."""
        return self._tables.buckets()

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name, or NoSuchBucket."""
        found = self._tables.bucket(name)
        if found is None:
            checks.check_bucket_name(name)
            raise OssError("NoSuchBucket", details={"BucketName": name})
        return found

    def find_bucket(self, name: str) -> Bucket | None:
        """The bucket of that name, or None."""
        return self._tables.bucket(name)

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
        region, tags = region or self.region, dict(tags or {})
        created = Bucket(name, region, storage_class, acl, self.clock(), tags)
        with self._db.write():
            known = self._tables.bucket(name)
            if known is None:
                self._tables.keep_bucket(created)
                return created
        if known.region != created.region or known.storage_class != storage_class:
            raise OssError("BucketAlreadyExists", details={"BucketName": name})
        return known

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket; objects or open uploads make it BucketNotEmpty."""
        with self._db.write():
            self.bucket(name)
            if not self._tables.is_empty(name):
                raise OssError("BucketNotEmpty", details={"BucketName": name})
            self._tables.drop_bucket(name)

    def set_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Replace all tags of a bucket."""
        with self._db.write():
            self._tables.keep_bucket(replace(self.bucket(name), tags=dict(tags)))

    def set_policy(self, name: str, policy: Policy | None) -> None:
        """Give a bucket a policy of its own, or none."""
        with self._db.write():
            self._tables.keep_bucket(replace(self.bucket(name), policy=policy))

    def set_encryption(self, name: str, algorithm: str, kms_key: str = "") -> None:
        """Encrypt a bucket: `None`, `AES256` or `KMS`, with a key of one's own."""
        with self._db.write():
            changed = replace(self.bucket(name), encryption=algorithm, kms_key=kms_key)
            self._tables.keep_bucket(changed)

    # For subclasses

    def _receive(
        self, pieces: Pieces, *, offset: int, size: int | None, md5: bytes | None
    ) -> Received:
        """Write a body to its file; raises EntityTooLarge, InvalidDigest."""
        if (size or 0) > checks.MAX_PUT:
            raise checks.too_large(size or 0)
        pieces = checks.at_most(pieces, checks.MAX_PUT)
        body = self._storage.write(pieces, offset=offset, size=size)
        with self._kept(body):
            checks.check_md5(md5, body.md5)
        return body

    @contextmanager
    def _kept(self, body: Received) -> Iterator[None]:
        """Remove the body's file again if the block raises."""
        try:
            yield
        except BaseException:
            self._storage.remove([body.name])
            raise

    def _drop(self, replaced: StoredObject | Part | None) -> list[str]:
        """Forget its content; the files to remove once the transaction is done."""
        return self._tables.drop_content(replaced.content) if replaced else []

    def _changed(self, bucket: str, key: str) -> None:
        for callback in tuple(self._callbacks):
            callback(bucket, key)
