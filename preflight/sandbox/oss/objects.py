"""Routes of objects: put, append, read and delete."""

from __future__ import annotations

from werkzeug.wrappers import Response

from preflight.sandbox.oss import checks, replies
from preflight.sandbox.oss.attributes import (
    WRITING,
    announced_length,
    encryption_headers,
    forbids_overwrite,
    wanted_attributes,
)
from preflight.sandbox.oss.authorization import require_kms
from preflight.sandbox.oss.conditions import check_conditions
from preflight.sandbox.oss.errors import OssError, not_offered
from preflight.sandbox.oss.routing import Context, Route, Scope, names


def put_object(context: Context) -> Response:
    """OSS docs, "PutObject"."""
    require_kms(context, "kms:GenerateDataKey")
    made = context.state.put(
        context.bucket,
        context.key,
        context.body.pieces(),
        size=announced_length(context),
        md5=checks.content_md5(context.request.headers.get("Content-MD5")),
        attributes=wanted_attributes(context),
        forbid_overwrite=forbids_overwrite(context),
    )
    shown = replies.object_headers(made)
    shown_names = ("ETag", "Content-MD5", "x-oss-hash-crc64ecma")
    headers = {name: shown[name] for name in shown_names}
    return replies.empty(200, headers | encryption_headers(made.attributes))


def append_object(context: Context) -> Response:
    """OSS docs, "AppendObject"; the CRC is that of the whole object."""
    require_kms(context, "kms:GenerateDataKey")
    made = context.state.append(
        context.bucket,
        context.key,
        checks.whole_number(context.query["position"], "position"),
        context.body.pieces(),
        size=announced_length(context),
        md5=checks.content_md5(context.request.headers.get("Content-MD5")),
        attributes=wanted_attributes(context),
    )
    headers = {
        "ETag": replies.quoted(made.etag),
        "x-oss-hash-crc64ecma": str(made.crc64),
        "x-oss-next-append-position": str(made.size),
    }
    return replies.empty(200, headers | encryption_headers(made.attributes))


def head_object(context: Context) -> Response:
    """OSS docs, "HeadObject"."""
    found = context.state.object(context.bucket, context.key)
    check_conditions(context.request.headers, found)
    answer = Response(b"", 200, replies.object_headers(found))
    answer.headers["Content-Length"] = str(found.size)
    return answer


def get_object_meta(context: Context) -> Response:
    """OSS docs, "GetObjectMeta": ETag, size, time and CRC alone."""
    found = context.state.object(context.bucket, context.key)
    shown_names = ("ETag", "Last-Modified", "x-oss-hash-crc64ecma")
    shown = replies.object_headers(found)
    answer = replies.empty(200, {name: shown[name] for name in shown_names})
    if context.request.method == "HEAD":
        answer.headers["Content-Length"] = str(found.size)
    return answer


def get_object(context: Context) -> Response:
    """OSS docs, "GetObject"; the CRC header is the whole object's, also for a range."""
    found = context.state.object(context.bucket, context.key)
    require_kms(context, "kms:Decrypt")
    check_conditions(context.request.headers, found)
    if found.storage_class in checks.OFFLINE_CLASSES:
        raise OssError("InvalidObjectState", details={"ObjectName": found.key})
    wanted = context.request.headers.get("Range")
    if wanted and "," in wanted:
        # One page answers with the first range, "HTTP status code 416" with an error.
        raise not_offered(f"several ranges at once, {wanted}")
    behavior = context.request.headers.get("x-oss-range-behavior", "")
    span = checks.parse_range(wanted, found.size, standard=behavior == "standard")
    start, length = span or (0, found.size)
    pieces = context.state.stream(found, start, length)
    status = 206 if span else 200
    answer = Response(pieces, status, replies.object_headers(found))
    answer.headers["Content-Length"] = str(length)
    if span:
        answer.headers.pop("Content-MD5", None)
        last = start + length - 1
        answer.headers["Content-Range"] = f"bytes {start}-{last}/{found.size}"
    return answer


def delete_object(context: Context) -> Response:
    """OSS docs, "DeleteObject": 204 whether or not it was there."""
    context.state.delete(context.bucket, context.key)
    return replies.empty(204)


_OBJECT = Scope.OBJECT
_META = names("objectMeta")

ROUTES = (
    Route("PutObject", _OBJECT, "PUT", put_object, headers=WRITING),
    Route(
        "AppendObject",
        _OBJECT,
        "POST",
        append_object,
        needs=names("append", "position"),
        headers=WRITING - {"x-oss-forbid-overwrite"},
    ),
    Route(
        "GetObject", _OBJECT, "GET", get_object, headers=names("x-oss-range-behavior")
    ),
    Route("HeadObject", _OBJECT, "HEAD", head_object),
    Route("GetObjectMeta", _OBJECT, "HEAD", get_object_meta, _META),
    Route("GetObjectMeta", _OBJECT, "GET", get_object_meta, _META),
    Route("DeleteObject", _OBJECT, "DELETE", delete_object),
)
