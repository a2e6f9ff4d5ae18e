"""What a bucket holds, as values, and how they are written to the index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Any, Literal

from preflight.sandbox.oss import checks
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.index import Change
from preflight.sandbox.oss.storage import Content, Extent


@dataclass(frozen=True, slots=True)
class Attributes:
    """What comes with an object's bytes; `headers` are given back as they came."""

    storage_class: str = "Standard"
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["Normal", "Multipart"] = "Normal"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A visible object; `last_modified` is in seconds since 1970."""

    key: str
    content: Content
    etag: str  # upper-case hex without quotes
    last_modified: float
    attributes: Attributes

    @property
    def size(self) -> int:
        """Bytes."""
        return self.content.size

    @property
    def crc64(self) -> int:
        """CRC-64/XZ of the whole."""
        return self.content.crc64

    @property
    def storage_class(self) -> str:
        """One of the five classes of OSS."""
        return self.attributes.storage_class


@dataclass(frozen=True, slots=True)
class Part:
    """An uploaded part; the ETag is the MD5 of its bytes."""

    number: int
    content: Content
    etag: str
    last_modified: float


@dataclass(frozen=True, slots=True)
class Upload:
    """An open multipart upload."""

    id: str
    key: str
    initiated: float
    attributes: Attributes
    parts: dict[int, Part]


@dataclass(slots=True)
class Bucket:
    """A bucket and all that is in it; the state alone changes it."""

    name: str
    region: str
    storage_class: str
    acl: str
    created: float
    tags: dict[str, str]
    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)


class OnError:
    """Run an action if the block raises."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def __enter__(self) -> None:
        """Nothing to do yet."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Undo, if something was raised."""
        if kind is not None:
            self._action()


def joined_etag(parts: Sequence[Part]) -> str:
    """The ETag of a completed object.

    OSS docs, "CompleteMultipartUpload": unique to the content, and not its MD5.
    """
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    whole = hashlib.md5(digests, usedforsecurity=False).hexdigest().upper()
    return f"{whole}-{len(parts)}"


def chosen_parts(upload: Upload, listed: Sequence[tuple[int, str]]) -> list[Part]:
    """The parts that a completion names, checked as OSS does.

    OSS docs, "CompleteMultipartUpload": ascending numbers, matching ETags, every part
    but the last at least 100 KB. Parts that are not named are dropped.
    """
    numbers = [number for number, _ in listed]
    if not listed or len(listed) > checks.MAX_PARTS:
        raise OssError("MalformedXML")
    if any(a >= b for a, b in pairwise(numbers)):
        raise OssError("InvalidPartOrder", details={"UploadId": upload.id})
    chosen = [_chosen(upload, number, etag) for number, etag in listed]
    for part in chosen[:-1]:
        if part.content.size < checks.MIN_PART:
            raise _too_small(part)
    return chosen


def _chosen(upload: Upload, number: int, etag: str) -> Part:
    part = upload.parts.get(number)
    if part is None or part.etag != etag.strip('"').upper():
        details = {
            "UploadId": upload.id,
            "PartNumber": str(number),
            "PartEtag": etag.strip('"'),
        }
        raise OssError("InvalidPart", details=details)
    return part


def _too_small(part: Part) -> OssError:
    details = {
        "ProposedSize": str(part.content.size),
        "MinSizeAllowed": str(checks.MIN_PART),
        "PartNumber": str(part.number),
        "ETag": part.etag,
    }
    return OssError("EntityTooSmall", details=details)


def bucket_row(bucket: Bucket) -> Change:
    """The bucket without its contents, as a change of the index."""
    names = ("region", "storage_class", "acl", "created", "tags")
    values = {name: getattr(bucket, name) for name in names}
    return ("buckets", bucket.name, values)


def object_row(bucket: str, made: StoredObject) -> Change:
    """A new or replaced object."""
    return ("objects", f"{bucket}/{made.key}", asdict(made))


def upload_row(bucket: str, upload: Upload) -> Change:
    """A new upload, without parts."""
    values = asdict(upload)
    del values["parts"]
    return ("uploads", f"{bucket}/{upload.id}", values)


def part_row(bucket: str, upload_id: str, part: Part) -> Change:
    """A new or replaced part."""
    return ("parts", f"{bucket}/{upload_id}/{part.number}", asdict(part))


def gone(table: str, bucket: str, key: str) -> Change:
    """The removal of a row."""
    return (table, f"{bucket}/{key}", None)


def upload_gone(bucket: str, upload: Upload) -> list[Change]:
    """The removal of an upload and all its parts."""
    parts = [gone("parts", bucket, f"{upload.id}/{number}") for number in upload.parts]
    return [gone("uploads", bucket, upload.id), *parts]


def load(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Bucket]:
    """The buckets that an index describes."""
    found = {
        name: Bucket(name=name, **row)
        for name, row in tables.get("buckets", {}).items()
    }
    for place, row in tables.get("objects", {}).items():
        bucket, _, key = place.partition("/")
        found[bucket].objects[key] = StoredObject(**_parsed(row))
    for place, row in tables.get("uploads", {}).items():
        bucket, _, upload_id = place.partition("/")
        found[bucket].uploads[upload_id] = Upload(**_parsed(row), parts={})
    for place, row in tables.get("parts", {}).items():
        bucket, upload_id, number = place.split("/")
        found[bucket].uploads[upload_id].parts[int(number)] = Part(**_parsed(row))
    return found


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its nested values made into their types again."""
    out = dict(row)
    if "attributes" in out:
        out["attributes"] = Attributes(**out["attributes"])
    if "content" in out:
        content = dict(out["content"])
        content["extents"] = tuple(Extent(**item) for item in content["extents"])
        out["content"] = Content(**content)
    return out
