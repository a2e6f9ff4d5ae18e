"""What the job needs of OSS, and the files of one import as it sees them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, Protocol

from preflight.sandbox.oss.errors import ContentNotKept, OssError

SMALL_FILE_LIMIT = 64 << 20  # bytes; the largest is tokenizer.json with about 11 MB


class BucketLike(Protocol):
    """A bucket, as far as the platform looks at it."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Tag keys and their values."""

    @property
    def storage_class(self) -> str:
        """The class that new objects get."""

    @property
    def region(self) -> str:
        """Such as `ap-southeast-1`, with or without the prefix `oss-`."""


class ObjectLike(Protocol):
    """One object of a listing."""

    @property
    def key(self) -> str:
        """The full key."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def storage_class(self) -> str:
        """The object's own class."""


class ObjectStore(Protocol):
    """The part of the OSS state that an import reads."""

    def bucket(self, name: str, /) -> BucketLike:
        """The bucket; raises the store's own error when there is none."""

    def objects(self, bucket: str, prefix: str, /) -> Sequence[ObjectLike]:
        """All objects whose key starts with `prefix`."""

    def read(self, bucket: str, key: str, start: int, length: int, /) -> bytes:
        """`length` bytes from offset `start`."""

    def on_change(self, callback: Callable[[str, str], None], /) -> None:
        """Have `callback(bucket, key)` called after each put, completion, delete."""


class Rejected(Exception):
    """A file is not what an import needs; the text says which and why."""


class CannotFetch(Exception):
    """The platform cannot get at the objects at all; the text says why."""


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def parse_object(text: bytes, name: str) -> dict[str, Any]:
    """The JSON object in `text`; raises `Rejected` for anything else."""
    try:
        value = json.loads(
            text.decode("utf-8"),
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
        )
    except (ValueError, RecursionError) as exc:
        raise Rejected(f"{name} is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise Rejected(f"{name} is not a JSON object")
    return value


class Files:
    """The objects directly under the prefix, by file name; deeper ones are unseen."""

    def __init__(self, store: ObjectStore, bucket: str, prefix: str) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix
        names = {o.key[len(prefix) :]: o for o in store.objects(bucket, prefix)}
        self.objects = {n: o for n, o in names.items() if n and "/" not in n}

    def __contains__(self, name: str) -> bool:
        return name in self.objects

    def size(self, name: str) -> int:
        """Bytes of the file; raises `Rejected` when it is not there."""
        if name not in self.objects:
            raise Rejected(f"{name} is missing")
        return self.objects[name].size

    def read(self, name: str, start: int, length: int) -> bytes:
        """A range of the file; raises `Rejected` when it is not there."""
        self.size(name)
        try:
            return self._store.read(self._bucket, self._prefix + name, start, length)
        except ContentNotKept as exc:
            raise Rejected(f"{name}: the sandbox kept digests only") from exc
        except OssError as exc:  # deleted while the job was at work
            raise Rejected(f"{name} cannot be read: {exc}") from exc

    def read_small(self, name: str) -> bytes:
        """A whole file of at most `SMALL_FILE_LIMIT` bytes."""
        size = self.size(name)
        if size > SMALL_FILE_LIMIT:
            raise Rejected(f"{name} has {size} bytes, too many for such a file")
        return self.read(name, 0, size) if size else b""

    def read_object(self, name: str) -> dict[str, Any]:
        """The JSON object in the file; raises `Rejected` for anything else."""
        return parse_object(self.read_small(name), name)
