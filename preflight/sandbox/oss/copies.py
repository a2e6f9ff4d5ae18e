"""Copies: the bytes of a new object or part come from one that is there."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

from werkzeug.wrappers import Response

from preflight.sandbox.oss import checks, replies, xml
from preflight.sandbox.oss.attributes import (
    WRITING,
    encryption_headers,
    forbids_overwrite,
    wanted_attributes,
)
from preflight.sandbox.oss.authorization import require, require_kms
from preflight.sandbox.oss.conditions import COPYING, check_conditions
from preflight.sandbox.oss.errors import OssError, not_offered
from preflight.sandbox.oss.records import Attributes, StoredObject
from preflight.sandbox.oss.routing import Context, Route, Scope, names
from preflight.sandbox.oss.xml import Node

SOURCE = names("x-oss-copy-source", *COPYING)


def read_source(context: Context) -> StoredObject:
    """The object that `x-oss-copy-source` names, which the key must be able to read.

    Raises OssError: InvalidArgument for a header that names none, NoSuchKey,
    AccessDenied, and what the conditions of the copy ask for.
    """
    named = context.request.headers["x-oss-copy-source"]
    if "?" in named:
        raise not_offered(f"copies of one version, x-oss-copy-source {named}")
    bucket, key = _place(context)
    if not bucket or not key:
        raise OssError("InvalidArgument", "Copy Source must mention the source bucket.")
    require(context, "oss:GetObject", bucket=bucket, key=key)
    found = context.state.object(bucket, key)
    if found.storage_class in checks.OFFLINE_CLASSES:
        raise OssError("InvalidObjectState", details={"ObjectName": key})
    check_conditions(context.request.headers, found, COPYING)
    return found


def copied_range(context: Context, found: StoredObject) -> tuple[int, int]:
    """First byte and length; a range that cannot be is the whole ("UploadPartCopy")."""
    header = context.request.headers.get("x-oss-copy-source-range")
    return checks.parse_range(header, found.size) or (0, found.size)


def copy_object(context: Context) -> Response:
    """OSS docs, "CopyObject": at most 5 GB, in one step, no byte is sent."""
    require_kms(context, "kms:GenerateDataKey")
    found = read_source(context)
    if found.size > checks.MAX_PUT:
        raise checks.too_large(found.size)
    made = context.state.copy(
        context.bucket,
        context.key,
        found,
        _attributes(context, found),
        forbid_overwrite=forbids_overwrite(context),
    )
    nodes: list[Node] = [
        ("ETag", replies.quoted(made.etag)),
        ("LastModified", xml.iso_time(made.last_modified)),
    ]
    answer = replies.xml("CopyObjectResult", nodes)
    answer.headers["ETag"] = replies.quoted(made.etag)
    answer.headers["x-oss-hash-crc64ecma"] = str(made.crc64)
    answer.headers.update(encryption_headers(made.attributes))
    return answer


def _attributes(context: Context, found: StoredObject) -> Attributes:
    """Metadata and tags of the source or of the request, as the directives say.

    "If the source object and the destination object are the same, the metadata is
    replaced regardless of the directive."
    """
    asked, kept = wanted_attributes(context), found.attributes
    by_request = _directive(context, "x-oss-tagging-directive") == "REPLACE"
    made = replace(asked, kind="Normal", tags=asked.tags if by_request else kept.tags)
    itself = _place(context) == (context.bucket, context.key)
    if _directive(context, "x-oss-metadata-directive") == "REPLACE" or itself:
        return made
    headers = {**kept.headers, **encryption_headers(asked)}
    return replace(made, content_type=kept.content_type, headers=headers)


def _place(context: Context) -> tuple[str, str]:
    path = unquote(context.request.headers["x-oss-copy-source"])
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def _directive(context: Context, name: str) -> str:
    given = context.request.headers.get(name, "COPY").upper()
    if given not in ("COPY", "REPLACE"):
        raise OssError("InvalidArgument", f"The value of {name} is not valid.")
    return given


ROUTES = (
    Route(
        "CopyObject",
        Scope.OBJECT,
        "PUT",
        copy_object,
        headers=SOURCE
        | WRITING
        | {"x-oss-metadata-directive", "x-oss-tagging-directive"},
        needs_header="x-oss-copy-source",
    ),
)
