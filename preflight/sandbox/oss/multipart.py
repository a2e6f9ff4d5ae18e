"""Routes of multipart uploads."""

from __future__ import annotations

from contextlib import closing

from werkzeug.wrappers import Response

from preflight.sandbox.oss import checks, replies, xml
from preflight.sandbox.oss.attributes import (
    WRITING,
    announced_length,
    encryption_headers,
    forbids_overwrite,
    wanted_attributes,
)
from preflight.sandbox.oss.authorization import require_kms
from preflight.sandbox.oss.buckets import small_body
from preflight.sandbox.oss.copies import SOURCE, copied_range, read_source
from preflight.sandbox.oss.routing import Context, Route, Scope, names
from preflight.sandbox.oss.xml import Node


def initiate_upload(context: Context) -> Response:
    """OSS docs, "InitiateMultipartUpload"."""
    require_kms(context, "kms:GenerateDataKey")
    upload = context.state.initiate(
        context.bucket,
        context.key,
        wanted_attributes(context),
        forbid_overwrite=forbids_overwrite(context),
    )
    kind = context.query.get("encoding-type", "")
    nodes: list[Node] = [
        ("Bucket", context.bucket),
        ("Key", xml.encoded(context.key, kind)),
        ("UploadId", upload.id),
    ]
    answer = replies.xml("InitiateMultipartUploadResult", nodes)
    answer.headers.update(encryption_headers(upload.attributes))
    return answer


def upload_part(context: Context) -> Response:
    """OSS docs, "UploadPart"."""
    part = context.state.put_part(
        context.bucket,
        context.key,
        context.query["uploadId"],
        checks.check_part_number(context.query["partNumber"]),
        context.body.pieces(),
        size=announced_length(context),
        md5=checks.content_md5(context.request.headers.get("Content-MD5")),
    )
    crc = str(part.content.crc64)
    headers = {"ETag": replies.quoted(part.etag), "x-oss-hash-crc64ecma": crc}
    return replies.empty(200, headers)


def upload_part_copy(context: Context) -> Response:
    """OSS docs, "UploadPartCopy": the part's bytes come from another object."""
    found = read_source(context)
    start, length = copied_range(context, found)
    number = checks.check_part_number(context.query["partNumber"])
    with closing(context.state.stream(found, start, length)) as pieces:
        part = context.state.put_part(
            context.bucket,
            context.key,
            context.query["uploadId"],
            number,
            pieces,
            size=length,
        )
    nodes: list[Node] = [
        ("LastModified", xml.iso_time(part.last_modified)),
        ("ETag", replies.quoted(part.etag)),
    ]
    answer = replies.xml("CopyPartResult", nodes)
    answer.headers["x-oss-hash-crc64ecma"] = str(part.content.crc64)
    return answer


def complete_upload(context: Context) -> Response:
    """OSS docs, "CompleteMultipartUpload"; Content-MD5 would be that of the XML."""
    made = context.state.complete(
        context.bucket,
        context.key,
        context.query["uploadId"],
        xml.parse_completion(small_body(context)),
        forbid_overwrite=forbids_overwrite(context),
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
    Route(
        "InitiateMultipartUpload",
        _OBJECT,
        "POST",
        initiate_upload,
        needs=names("uploads"),
        knows=_ENCODING,
        headers=WRITING,
    ),
    Route(
        "UploadPartCopy",
        _OBJECT,
        "PUT",
        upload_part_copy,
        needs=_UPLOAD | {"partNumber"},
        headers=SOURCE | {"x-oss-copy-source-range"},
        needs_header="x-oss-copy-source",
    ),
    Route("UploadPart", _OBJECT, "PUT", upload_part, needs=_UPLOAD | {"partNumber"}),
    Route(
        "CompleteMultipartUpload",
        _OBJECT,
        "POST",
        complete_upload,
        needs=_UPLOAD,
        knows=_ENCODING,
        headers=names("x-oss-forbid-overwrite"),
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
