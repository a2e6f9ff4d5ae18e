"""What a request that writes says of the object beside its bytes."""

from __future__ import annotations

from urllib.parse import parse_qsl

from preflight.sandbox.oss import checks
from preflight.sandbox.oss.authorization import require
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.records import Attributes
from preflight.sandbox.oss.routing import Context

# Headers of a put that a later GET gives back (OSS docs, "PutObject").
_KEPT = ("cache-control", "content-disposition", "content-encoding", "expires")
_ENCRYPTION = "x-oss-server-side-encryption"
_ENCRYPTION_HEADERS = (
    _ENCRYPTION,
    "x-oss-server-side-encryption-key-id",
    "x-oss-server-side-data-encryption",
)
# OSS docs, "Server-side encryption": what a request may ask for.
_ALGORITHMS = frozenset({"AES256", "KMS", "SM4"})
# The x-oss- headers that requests which make an object may have.
WRITING = frozenset(
    {
        "x-oss-forbid-overwrite",
        "x-oss-storage-class",
        "x-oss-tagging",
        *_ENCRYPTION_HEADERS,
    }
)


def wanted_attributes(context: Context) -> Attributes:
    """Class, type, metadata, tags and encryption that the request asks for.

    Raises OssError for values that are none, and AccessDenied for tags that the key
    may not set (OSS docs, support/0003-00000905).
    """
    headers = context.request.headers
    bucket = context.state.bucket(context.bucket)
    wanted = headers.get("x-oss-storage-class", bucket.storage_class)
    kept = {
        name.lower(): value
        for name, value in headers.items()
        if name.lower().startswith("x-oss-meta-") or name.lower() in _KEPT
    }
    kind = headers.get("Content-Type") or "application/octet-stream"
    tags = parse_tags_header(headers.get("x-oss-tagging", ""))
    if tags:
        require(context, "oss:PutObjectTagging", ec="0003-00000905")
    return Attributes(
        checks.check_storage_class(wanted),
        kind,
        kept | _encryption(context),
        tags=tags,
    )


def _encryption(context: Context) -> dict[str, str]:
    """The encryption asked for, or that of the bucket (OSS docs, "PutObject")."""
    headers = context.request.headers
    asked = {name: headers[name] for name in _ENCRYPTION_HEADERS if name in headers}
    if asked:
        if asked.get(_ENCRYPTION) not in _ALGORITHMS:
            raise OssError("InvalidEncryptionAlgorithmError")
        return asked
    bucket = context.state.bucket(context.bucket)
    if bucket.encryption == "None":
        return {}
    key = {_ENCRYPTION_HEADERS[1]: bucket.kms_key} if bucket.kms_key else {}
    return {_ENCRYPTION: bucket.encryption} | key


def encryption_headers(attributes: Attributes) -> dict[str, str]:
    """What the answer to a write says of the encryption."""
    names = _ENCRYPTION_HEADERS
    return {n: attributes.headers[n] for n in names if n in attributes.headers}


def parse_tags_header(text: str) -> dict[str, str]:
    """`k=v&k2=v2`, percent-encoded (OSS docs, "Object tagging"), checked."""
    pairs = parse_qsl(text, keep_blank_values=True)
    return dict(checks.check_tags(pairs, most=10, longest=(128, 256)))


def forbids_overwrite(context: Context) -> bool:
    """Whether an object that is there shall stay."""
    return context.request.headers.get("x-oss-forbid-overwrite", "").lower() == "true"


def announced_length(context: Context) -> int | None:
    """The body's length, or None if it comes in chunks.

    OSS docs, "HTTP status code 411": one of the two is a must for an upload.
    """
    headers = context.request.headers
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    if not chunked and "Content-Length" not in headers:
        raise OssError("MissingContentLength")
    return None if chunked else context.body.length
