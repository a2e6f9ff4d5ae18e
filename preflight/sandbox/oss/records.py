"""What a bucket holds, as values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from preflight.sandbox.oss import checks
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.policy import Policy


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a part or an object; `md5` is empty for a joined one.

    Where they lie is known to the state alone, under this `id`.
    """

    id: int
    size: int
    crc64: int
    md5: str


@dataclass(frozen=True, slots=True)
class Attributes:
    """What comes with an object's bytes; `headers` are given back as they came."""

    storage_class: str = "Standard"
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: Literal["Normal", "Multipart", "Appendable"] = "Normal"
    tags: Mapping[str, str] = field(default_factory=dict)


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


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, without what lies in it.

    `encryption` is `None`, `AES256` or `KMS`, and `kms_key` the key of one's own.
    """

    name: str
    region: str
    storage_class: str
    acl: str
    created: float
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: Policy | None = None
    encryption: str = "None"
    kms_key: str = ""


@dataclass(frozen=True, slots=True)
class Stat:
    """How much a bucket holds; `by_class`: (bytes, objects) of each storage class."""

    size: int
    objects: int
    uploads: int
    parts: int
    by_class: Mapping[str, tuple[int, int]]


def joined_etag(parts: Sequence[Part]) -> str:
    """The ETag of a completed object.

    OSS docs, "CompleteMultipartUpload": unique to the content, and not its MD5.
    """
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    whole = hashlib.md5(digests, usedforsecurity=False).hexdigest().upper()
    return f"{whole}-{len(parts)}"


def chosen_parts(
    upload_id: str, parts: Mapping[int, Part], listed: Sequence[tuple[int, str]]
) -> list[Part]:
    """The parts that a completion names, checked as OSS does.

    OSS docs, "CompleteMultipartUpload": ascending numbers, matching ETags, every part
    but the last at least 100 KB. Parts that are not named are dropped.
    """
    numbers = [number for number, _ in listed]
    if not listed or len(listed) > checks.MAX_PARTS:
        raise OssError("MalformedXML")
    if any(a >= b for a, b in pairwise(numbers)):
        raise OssError("InvalidPartOrder", details={"UploadId": upload_id})
    chosen = [_chosen(upload_id, parts.get(n), n, etag) for n, etag in listed]
    for part in chosen[:-1]:
        if part.content.size < checks.MIN_PART:
            raise _too_small(part)
    return chosen


def _chosen(upload_id: str, part: Part | None, number: int, etag: str) -> Part:
    if part is None or part.etag != etag.strip('"').upper():
        details = {
            "UploadId": upload_id,
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
