"""Routes of objects and of multipart uploads."""

from __future__ import annotations

from werkzeug.http import parse_date
from werkzeug.wrappers import Response

from preflight.sandbox.call import unknown_request
from preflight.sandbox.oss import checks, replies, xml
from preflight.sandbox.oss.authorization import require_kms
from preflight.sandbox.oss.buckets import small_body
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.records import Attributes, StoredObject
from preflight.sandbox.oss.routing import Context, Route, Scope, names
from preflight.sandbox.oss.xml import Node

# Headers of a put that a later GET gives back (OSS docs, "PutObject").
_UNMODIFIED = "If-Unmodified-Since"
_KEPT = ("cache-control", "content-disposition", "content-encoding", "expires")


def _attributes(context: Context) -> Attributes:
    headers = context.request.headers
    bucket = context.state.bucket(context.bucket)
    wanted = headers.get("x-oss-storage-class", bucket.storage_class)
    kept = {
        name.lower(): value
        for name, value in headers.items()
        if name.lower().startswith("x-oss-meta-") or name.lower() in _KEPT
    }
    kind = headers.get("Content-Type") or "application/octet-stream"
    return Attributes(checks.check_storage_class(wanted), kind, kept)


def _forbids_overwrite(context: Context) -> bool:
    return context.request.headers.get("x-oss-forbid-overwrite", "").lower() == "true"


def _announced_length(context: Context) -> int | None:
    """The body's length, or None if it comes in chunks.

    OSS docs, "HTTP status code 411": one of the two is a must for an upload.
    """
    headers = context.request.headers
    chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
    if not chunked and "Content-Length" not in headers:
        raise OssError("MissingContentLength")
    return None if chunked else context.body.length


def put_object(context: Context) -> Response:
    """OSS docs, "PutObject"."""
    require_kms(context, "kms:GenerateDataKey")
    made = context.state.put(
        context.bucket,
        context.key,
        context.body.pieces(),
        size=_announced_length(context),
        md5=checks.content_md5(context.request.headers.get("Content-MD5")),
        attributes=_attributes(context),
        forbid_overwrite=_forbids_overwrite(context),
    )
    shown = replies.object_headers(made)
    shown_names = ("ETag", "Content-MD5", "x-oss-hash-crc64ecma")
    return replies.empty(200, {name: shown[name] for name in shown_names})


def head_object(context: Context) -> Response:
    """OSS docs, "HeadObject"."""
    found = context.state.object(context.bucket, context.key)
    _check_conditions(context, found)
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
    _check_conditions(context, found)
    if found.storage_class in checks.OFFLINE_CLASSES:
        raise OssError("InvalidObjectState", details={"ObjectName": found.key})
    wanted = context.request.headers.get("Range")
    if wanted and "," in wanted:
        # One page answers with the first range, "HTTP status code 416" with an error.
        return unknown_request(context.request, f"several ranges: {wanted}")
    span = checks.parse_range(wanted, found.size)
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


def _check_conditions(context: Context, found: StoredObject) -> None:
    """If-Match and the like (OSS docs, "GetObject", conditional headers)."""
    headers, etag = context.request.headers, found.etag
    wanted, unwanted = headers.get("If-Match"), headers.get("If-None-Match")
    if wanted is not None and wanted.strip('"').upper() != etag:
        raise OssError("PreconditionFailed", details={"Condition": "If-Match"})
    if unwanted is not None and unwanted.strip('"').upper() == etag:
        raise OssError("NotModified")
    changed = int(found.last_modified)
    since, until = (
        parse_date(headers.get(name)) for name in ("If-Modified-Since", _UNMODIFIED)
    )
    if since is not None and changed <= since.timestamp():
        raise OssError("NotModified")
    if until is not None and changed > until.timestamp():
        raise OssError("PreconditionFailed", details={"Condition": _UNMODIFIED})


def delete_object(context: Context) -> Response:
    """OSS docs, "DeleteObject": 204 whether or not it was there."""
    context.state.delete(context.bucket, context.key)
    return replies.empty(204)


def initiate_upload(context: Context) -> Response:
    """OSS docs, "InitiateMultipartUpload"."""
    require_kms(context, "kms:GenerateDataKey")
    upload = context.state.initiate(
        context.bucket,
        context.key,
        _attributes(context),
        forbid_overwrite=_forbids_overwrite(context),
    )
    kind = context.query.get("encoding-type", "")
    nodes: list[Node] = [
        ("Bucket", context.bucket),
        ("Key", xml.encoded(context.key, kind)),
        ("UploadId", upload.id),
    ]
    return replies.xml("InitiateMultipartUploadResult", nodes)


def upload_part(context: Context) -> Response:
    """OSS docs, "UploadPart"."""
    part = context.state.put_part(
        context.bucket,
        context.key,
        context.query["uploadId"],
        checks.check_part_number(context.query["partNumber"]),
        context.body.pieces(),
        size=_announced_length(context),
        md5=checks.content_md5(context.request.headers.get("Content-MD5")),
    )
    crc = str(part.content.crc64)
    headers = {"ETag": replies.quoted(part.etag), "x-oss-hash-crc64ecma": crc}
    return replies.empty(200, headers)


def complete_upload(context: Context) -> Response:
    """OSS docs, "CompleteMultipartUpload"; Content-MD5 would be that of the XML."""
    made = context.state.complete(
        context.bucket,
        context.key,
        context.query["uploadId"],
        xml.parse_completion(small_body(context)),
        forbid_overwrite=_forbids_overwrite(context),
    )
    kind = context.query.get("encoding-type", "")
    nodes: list[Node] = [
        ("Location", f"http://{context.host}/{context.bucket}/{made.key}"),
        ("Bucket", context.bucket),
        ("Key", xml.encoded(made.key, kind)),
        ("ETag", replies.quoted(made.etag)),
    ]
    answer = replies.xml("CompleteMultipartUploadResult", nodes)
    answer.headers["ETag"] = replies.quoted(made.etag)
    answer.headers["x-oss-hash-crc64ecma"] = str(made.crc64)
    return answer


def abort_upload(context: Context) -> Response:
    """OSS docs, "AbortMultipartUpload"."""
    context.state.abort(context.bucket, context.key, context.query["uploadId"])
    return replies.empty(204)


def list_parts(context: Context) -> Response:
    """OSS docs, "ListParts"; each part also carries its HashCrc64ecma."""
    query, kind = context.query, context.query.get("encoding-type", "")
    upload = context.state.upload(context.bucket, context.key, query["uploadId"])
    limit = checks.page_size(query, "max-parts", default=1000)
    marker = query.get("part-number-marker") or "0"
    after = checks.whole_number(marker, "part-number-marker")
    parts = context.state.parts(
        context.bucket, context.key, upload.id, after=after, limit=limit + 1
    )
    shown = parts[:limit]
    nodes: list[Node] = [
        ("Bucket", context.bucket),
        ("Key", xml.encoded(context.key, kind)),
        ("UploadId", upload.id),
        ("StorageClass", upload.attributes.storage_class),
        ("PartNumberMarker", str(after)),
        ("NextPartNumberMarker", str(shown[-1].number if shown else after)),
        ("MaxParts", str(limit)),
        ("IsTruncated", xml.boolean(len(parts) > limit)),
    ]
    for part in shown:
        inner: list[Node] = [
            ("PartNumber", str(part.number)),
            ("LastModified", xml.iso_time(part.last_modified)),
            ("ETag", replies.quoted(part.etag)),
            ("HashCrc64ecma", str(part.content.crc64)),
            ("Size", str(part.content.size)),
        ]
        nodes.append(("Part", inner))
    return replies.xml("ListPartsResult", nodes)


_OBJECT = Scope.OBJECT
_UPLOAD = names("uploadId")
_ENCODING = names("encoding-type")

ROUTES = (
    Route("PutObject", _OBJECT, "PUT", put_object),
    Route("GetObject", _OBJECT, "GET", get_object),
    Route("HeadObject", _OBJECT, "HEAD", head_object),
    Route("GetObjectMeta", _OBJECT, "HEAD", get_object_meta, names("objectMeta")),
    Route("GetObjectMeta", _OBJECT, "GET", get_object_meta, names("objectMeta")),
    Route("DeleteObject", _OBJECT, "DELETE", delete_object),
    Route(
        "InitiateMultipartUpload",
        _OBJECT,
        "POST",
        initiate_upload,
        needs=names("uploads"),
        knows=_ENCODING,
    ),
    Route(
        "UploadPart",
        _OBJECT,
        "PUT",
        upload_part,
        needs=_UPLOAD | {"partNumber"},
    ),
    Route(
        "CompleteMultipartUpload",
        _OBJECT,
        "POST",
        complete_upload,
        needs=_UPLOAD,
        knows=_ENCODING,
    ),
    Route("AbortMultipartUpload", _OBJECT, "DELETE", abort_upload, needs=_UPLOAD),
    Route(
        "ListParts",
        _OBJECT,
        "GET",
        list_parts,
        needs=_UPLOAD,
        knows=_ENCODING | {"max-parts", "part-number-marker"},
    ),
)
