"""Routes that list: buckets, objects, uploads; all of them come in pages."""

from __future__ import annotations

from werkzeug.wrappers import Response

from preflight.sandbox.oss import checks, listing, replies, xml
from preflight.sandbox.oss.buckets import OWNER, bucket_nodes, encoding_type
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.records import StoredObject, Upload
from preflight.sandbox.oss.routing import Context, Route, Scope, names
from preflight.sandbox.oss.xml import Node


def list_buckets(context: Context) -> Response:
    """OSS docs, "ListBuckets (GetService)"."""
    query = context.query
    page = listing.list_page(
        [(bucket.name, "") for bucket in context.state.buckets()],
        prefix=query.get("prefix", ""),
        after=(query.get("marker", ""), ""),
        limit=checks.page_size(query, "max-keys", default=100),
    )
    shown = [context.state.bucket(name) for name, _ in page.entries]
    children: list[Node] = [OWNER]
    if page.truncated:
        children += [("IsTruncated", "true"), ("NextMarker", page.last[0])]
    children.append(("Buckets", [("Bucket", bucket_nodes(item)) for item in shown]))
    return replies.xml("ListAllMyBucketsResult", children)


def list_objects(context: Context) -> Response:
    """OSS docs, "ListObjects (GetBucket)"."""
    query = context.query
    limit = checks.page_size(query, "max-keys", default=100)
    page = _page(context, after=query.get("marker", ""), limit=limit)
    kind = encoding_type(query)
    head: list[Node] = [
        ("Name", context.bucket),
        ("Prefix", xml.encoded(query.get("prefix", ""), kind)),
        ("Marker", xml.encoded(query.get("marker", ""), kind)),
        ("MaxKeys", str(limit)),
        ("Delimiter", xml.encoded(query.get("delimiter", ""), kind)),
        ("IsTruncated", xml.boolean(page.truncated)),
    ]
    if page.truncated:
        head.append(("NextMarker", xml.encoded(page.last[0], kind)))
    return _listing(context, head, page, owner=True)


def list_objects_v2(context: Context) -> Response:
    """OSS docs, "ListObjectsV2 (GetBucketV2)"."""
    query = context.query
    if query["list-type"] != "2":
        raise OssError("InvalidArgument", "list-type must be 2.")
    limit = checks.page_size(query, "max-keys", default=100)
    token = query.get("continuation-token", "")
    after = _from_token(token) if token else query.get("start-after", "")
    page = _page(context, after=after, limit=limit)
    kind = encoding_type(query)
    head: list[Node] = [
        ("Name", context.bucket),
        ("Prefix", xml.encoded(query.get("prefix", ""), kind)),
        ("StartAfter", xml.encoded(query.get("start-after", ""), kind)),
        ("ContinuationToken", token),
        ("MaxKeys", str(limit)),
        ("Delimiter", xml.encoded(query.get("delimiter", ""), kind)),
        ("IsTruncated", xml.boolean(page.truncated)),
        ("KeyCount", str(len(page.entries) + len(page.prefixes))),
    ]
    if page.truncated:
        head.append(("NextContinuationToken", page.last[0].encode().hex()))
    return _listing(context, head, page, owner=query.get("fetch-owner") == "true")


def _from_token(token: str) -> str:
    try:
        return bytes.fromhex(token).decode()
    except ValueError:
        raise OssError("InvalidArgument", "Invalid continuation-token.") from None


def _page(context: Context, *, after: str, limit: int) -> listing.Page:
    prefix = context.query.get("prefix", "")
    found = context.state.walk(context.bucket, prefix, after)
    return listing.list_page(
        ((item.key, "") for item in found),
        prefix=prefix,
        delimiter=context.query.get("delimiter", ""),
        after=(after, ""),
        limit=limit,
    )


def _listing(
    context: Context, head: list[Node], page: listing.Page, *, owner: bool
) -> Response:
    kind = encoding_type(context.query)
    nodes = list(head)
    if kind:
        nodes.append(("EncodingType", kind))
    for key, _ in page.entries:
        found = context.state.find(context.bucket, key)
        if found is not None:  # it may have been deleted in between
            nodes.append(("Contents", _object_nodes(found, kind, owner=owner)))
    nodes += _prefixes(page, kind)
    return replies.xml("ListBucketResult", nodes)


def _prefixes(page: listing.Page, kind: str) -> list[Node]:
    return [
        ("CommonPrefixes", [("Prefix", xml.encoded(prefix, kind))])
        for prefix in page.prefixes
    ]


def _object_nodes(found: StoredObject, kind: str, *, owner: bool) -> list[Node]:
    nodes: list[Node] = [
        ("Key", xml.encoded(found.key, kind)),
        ("LastModified", xml.iso_time(found.last_modified)),
        ("ETag", replies.quoted(found.etag)),
        ("Type", found.attributes.kind),
        ("Size", str(found.size)),
        ("StorageClass", found.storage_class),
    ]
    return [*nodes, OWNER] if owner else nodes


def list_uploads(context: Context) -> Response:
    """OSS docs, "ListMultipartUploads"."""
    query, kind = context.query, encoding_type(context.query)
    limit = checks.page_size(query, "max-uploads", default=1000)
    marker = query.get("key-marker", "")
    # "If key-marker is not specified, upload-id-marker is ignored"
    id_marker = query.get("upload-id-marker", "") if marker else ""
    prefix = query.get("prefix", "")
    uploads = context.state.walk_uploads(context.bucket, prefix, (marker, ""))
    seen: dict[str, Upload] = {}
    page = listing.list_page(
        ((item.key, seen.setdefault(item.id, item).id) for item in uploads),
        prefix=prefix,
        delimiter=query.get("delimiter", ""),
        after=(marker, id_marker),
        limit=limit,
    )
    nodes: list[Node] = [
        ("Bucket", context.bucket),
        ("KeyMarker", xml.encoded(marker, kind)),
        ("UploadIdMarker", id_marker),
        ("NextKeyMarker", xml.encoded(page.last[0], kind)),
        ("NextUploadIdMarker", page.last[1]),
        ("Delimiter", xml.encoded(query.get("delimiter", ""), kind)),
        ("Prefix", xml.encoded(prefix, kind)),
        ("MaxUploads", str(limit)),
        ("IsTruncated", xml.boolean(page.truncated)),
    ]
    if kind:
        nodes.append(("EncodingType", kind))
    for key, upload_id in page.entries:
        upload: list[Node] = [
            ("Key", xml.encoded(key, kind)),
            ("UploadId", upload_id),
            ("StorageClass", seen[upload_id].attributes.storage_class),
            ("Initiated", xml.iso_time(seen[upload_id].initiated)),
        ]
        nodes.append(("Upload", upload))
    nodes += _prefixes(page, kind)
    return replies.xml("ListMultipartUploadsResult", nodes)


_LIST = names("prefix", "delimiter", "max-keys", "encoding-type")
_LIST_V2 = _LIST | {"continuation-token", "start-after", "fetch-owner"}
_LIST_UPLOADS = names(
    "prefix",
    "delimiter",
    "key-marker",
    "upload-id-marker",
    "max-uploads",
    "encoding-type",
)

_SERVICE, _BUCKET = Scope.SERVICE, Scope.BUCKET

ROUTES = (
    Route(
        "ListBuckets",
        _SERVICE,
        "GET",
        list_buckets,
        knows=names("prefix", "marker", "max-keys"),
    ),
    Route("ListObjects", _BUCKET, "GET", list_objects, knows=_LIST | {"marker"}),
    Route(
        "ListObjectsV2",
        _BUCKET,
        "GET",
        list_objects_v2,
        needs=names("list-type"),
        knows=_LIST_V2,
    ),
    Route(
        "ListMultipartUploads",
        _BUCKET,
        "GET",
        list_uploads,
        needs=names("uploads"),
        knows=_LIST_UPLOADS,
    ),
)
