"""What OSS asks of names, sizes and digests, as pure functions that raise OssError."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping

from preflight.sandbox.oss.errors import OssError

# OSS docs, "Limits": PutObject and one part at most 5 GB, each part but the last at
# least 100 KB, part numbers 1 to 10,000, the whole at most 48.8 TB
# (alibabacloud.com/help/en/oss/user-guide/limits, .../multipart-upload).
MAX_PUT = 5 << 30
MIN_PART = 100 << 10
MAX_PARTS = 10_000
MAX_OBJECT = 53_687_091_200_000
MAX_KEY_BYTES = 1023
MAX_XML = 2 << 20  # DeleteMultipleObjects: "the body can be up to 2 MB"
STORAGE_CLASSES = frozenset(
    {"Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive"}
)
OFFLINE_CLASSES = STORAGE_CLASSES - {"Standard", "IA"}
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]\Z")


def check_bucket_name(name: str) -> None:
    """Lower-case letters, digits, hyphens, 3 to 63 long, no hyphen at the ends.

    OSS docs, "HTTP status code 400": InvalidBucketName.
    """
    if not _BUCKET.match(name):
        raise OssError("InvalidBucketName", details={"BucketName": name})


def check_key(key: str) -> None:
    r"""UTF-8, 1 to 1,023 bytes, no / or \ in front.

    OSS docs, "HTTP status code 400": InvalidObjectName.
    """
    if not key:
        raise OssError("InvalidObjectName", "The Object name can not be empty")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise OssError("InvalidObjectName") from None
    details = {"ObjectName": key}
    if size > MAX_KEY_BYTES:
        text = "The Length of Object name must be less than 1024"
        raise OssError("InvalidObjectName", text, details=details)
    if key[0] in "/\\":
        raise OssError("InvalidObjectName", details=details)


def check_part_number(text: str) -> int:
    """The part number, 1 to 10,000 (OSS docs, "UploadPart")."""
    number = whole_number(text, "partNumber")
    if not 1 <= number <= MAX_PARTS:
        raise OssError(
            "InvalidArgument",
            "Part number must be an integer between 1 and 10000, inclusive.",
            details={"ArgumentName": "partNumber", "ArgumentValue": text},
        )
    return number


def whole_number(text: str, name: str) -> int:
    """An argument that is a non-negative integer."""
    if not (text.isascii() and text.isdigit()):
        raise OssError(
            "InvalidArgument",
            f"{name} is not an integer.",
            details={"ArgumentName": name, "ArgumentValue": text},
        )
    return int(text)


def page_size(query: Mapping[str, str], name: str, *, default: int) -> int:
    """A `max-...` argument: 1 to 1,000 (OSS docs, "ListObjects", "ListParts")."""
    size = whole_number(query.get(name) or str(default), name)
    if not 1 <= size <= 1000:
        raise OssError(
            "InvalidArgument",
            f"{name} must be between 1 and 1000.",
            details={"ArgumentName": name, "ArgumentValue": str(size)},
        )
    return size


def content_md5(header: str | None) -> bytes | None:
    """The digest of a Content-MD5 header; 16 bytes in base64, or InvalidDigest.

    OSS docs, "Common HTTP headers" and "HTTP status code 400".
    """
    if header is None:
        return None
    try:
        digest = base64.b64decode(header, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise OssError("InvalidDigest", details={"Content-MD5": header})
    return digest


def check_md5(expected: bytes | None, found_hex: str) -> None:
    """What arrived has the digest that was announced, or InvalidDigest.

    Not BadDigest as S3 has it: OSS docs, "The Content-MD5 you specified was invalid".
    """
    if expected is not None and expected.hex() != found_hex.lower():
        details = {"ExpectedDigest": expected.hex(), "CalculatedDigest": found_hex}
        raise OssError("InvalidDigest", details=details)


def check_storage_class(name: str) -> str:
    """One of the five classes (OSS docs, "Overview of storage classes")."""
    if name not in STORAGE_CLASSES:
        raise OssError("InvalidStorageClass", details={"StorageClass": name})
    return name


def parse_range(
    header: str | None, size: int, *, standard: bool = False
) -> tuple[int, int] | None:
    """First byte and length of a Range header; None for the whole object.

    OSS docs, "GetObject": a range that is malformed, or starts or ends behind the
    object, is ignored by default and the whole object comes with status 200. With
    `standard` (`x-oss-range-behavior: standard`) one that ends behind it comes up to
    its end, and one that starts there is InvalidRange, 416.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not match or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        length = min(int(last), size) if standard else int(last)
        span = (size - length, length)
        good = 0 < length <= size
    else:
        end = min(int(last or size), size - 1) if standard else int(last or size - 1)
        span = (int(first), end - int(first) + 1)
        good = int(first) <= end < size
    if good:
        return span
    if standard:
        raise OssError("InvalidRange", details={"ActualObjectSize": str(size)})
    return None


def check_tags(
    pairs: Iterable[tuple[str, str]], *, most: int, longest: tuple[int, int]
) -> Mapping[str, str]:
    """Tags as a mapping; no key twice, and neither too many nor too long."""
    listed = list(pairs)
    tags = dict(listed)
    good = all(0 < len(k) <= longest[0] and len(v) <= longest[1] for k, v in listed)
    if len(tags) != len(listed) or len(tags) > most or not good:
        raise OssError("InvalidArgument", "The tags are invalid.")
    return tags


def too_large(size: int) -> OssError:
    """EntityTooLarge with both numbers."""
    details = {"ProposedSize": str(size), "MaxSizeAllowed": str(MAX_PUT)}
    return OssError("EntityTooLarge", details=details)


def at_most(
    pieces: Iterable[memoryview | bytes], limit: int
) -> Iterator[memoryview | bytes]:
    """The pieces, or EntityTooLarge as soon as they are too many bytes."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise too_large(size)
        yield piece
