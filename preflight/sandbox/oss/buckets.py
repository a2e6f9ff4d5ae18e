"""Routes of the service and of buckets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from werkzeug.wrappers import Response

from preflight.sandbox.oss import checks, replies, xml
from preflight.sandbox.oss.authorization import require
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.policy import OWNER_ID
from preflight.sandbox.oss.records import Bucket
from preflight.sandbox.oss.routing import Context, Route, Scope, names
from preflight.sandbox.oss.xml import Node

OWNER: Node = ("Owner", [("ID", OWNER_ID), ("DisplayName", OWNER_ID)])


def bucket_nodes(bucket: Bucket) -> list[Node]:
    """What ListBuckets and GetBucketInfo both say of a bucket."""
    place = f"oss-{bucket.region}"
    return [
        ("Name", bucket.name),
        ("Location", place),
        ("Region", bucket.region),
        ("CreationDate", xml.iso_time(bucket.created)),
        ("ExtranetEndpoint", f"{place}.aliyuncs.com"),
        ("IntranetEndpoint", f"{place}-internal.aliyuncs.com"),
        ("StorageClass", bucket.storage_class),
    ]


def encryption_nodes(bucket: Bucket) -> list[Node]:
    """How the bucket encrypts what comes without a wish of its own."""
    nodes: list[Node] = [("SSEAlgorithm", bucket.encryption)]
    return [*nodes, ("KMSMasterKeyID", bucket.kms_key)] if bucket.kms_key else nodes


def get_info(context: Context) -> Response:
    """OSS docs, "GetBucketInfo"."""
    bucket = context.state.bucket(context.bucket)
    nodes: list[Node] = [
        *bucket_nodes(bucket),
        OWNER,
        ("AccessControlList", [("Grant", bucket.acl)]),
        ("DataRedundancyType", "LRS"),
        ("TransferAcceleration", "Disabled"),
        ("CrossRegionReplication", "Disabled"),
        ("AccessMonitor", "Disabled"),
        ("ResourceGroupId", "rg-default-id"),
        ("ServerSideEncryptionRule", encryption_nodes(bucket)),
        ("Comment", ""),
    ]
    return replies.xml("BucketInfo", [("Bucket", nodes)])


def get_location(context: Context) -> Response:
    """OSS docs, "GetBucketLocation"."""
    region = context.state.bucket(context.bucket).region
    return replies.xml("LocationConstraint", f"oss-{region}")


def get_acl(context: Context) -> Response:
    """OSS docs, "GetBucketAcl"."""
    grant: Node = ("Grant", context.state.bucket(context.bucket).acl)
    nodes: list[Node] = [OWNER, ("AccessControlList", [grant])]
    return replies.xml("AccessControlPolicy", nodes)


def get_versioning(context: Context) -> Response:
    """OSS docs, "GetBucketVersioning": empty for a bucket that never had it."""
    context.state.bucket(context.bucket)
    return replies.xml("VersioningConfiguration", "")


def get_tags(context: Context) -> Response:
    """OSS docs, "GetBucketTags": no tags is 200 with an empty set, not 404 as in S3."""
    return tagging(context.state.bucket(context.bucket).tags)


def tagging(tags: Mapping[str, str]) -> Response:
    """The tags of a bucket or an object."""
    nodes: list[Node] = [
        ("Tag", [("Key", key), ("Value", value)]) for key, value in tags.items()
    ]
    return replies.xml("Tagging", [("TagSet", nodes)])


def put_tags(context: Context) -> Response:
    """OSS docs, "PutBucketTags": replaces all tags."""
    context.state.set_tags(context.bucket, xml.parse_tags(small_body(context)))
    return replies.empty(200)


def delete_tags(context: Context) -> Response:
    """OSS docs, "DeleteBucketTags"."""
    context.state.set_tags(context.bucket, {})
    return replies.empty(204)


def get_stat(context: Context) -> Response:
    """OSS docs, "GetBucketStat"."""
    context.state.bucket(context.bucket)
    stat = context.state.stat(context.bucket)
    size, objects = str(stat.size), str(stat.objects)
    nodes: list[Node] = [
        ("Storage", size),
        ("ObjectCount", objects),
        ("MultipartUploadCount", str(stat.uploads)),
        ("LiveChannelCount", "0"),
        ("LastModifiedTime", str(int(context.state.clock()))),
        ("StandardStorage", str(stat.by_class.get("Standard", (0, 0))[0])),
        ("StandardObjectCount", str(stat.by_class.get("Standard", (0, 0))[1])),
    ]
    for name in ("IA", "Archive", "ColdArchive", "DeepColdArchive"):
        short = "InfrequentAccess" if name == "IA" else name
        held, count = stat.by_class.get(name, (0, 0))
        nodes += [
            (f"{short}Storage", str(held)),
            (f"{short}RealStorage", str(held)),
            (f"{short}ObjectCount", str(count)),
        ]
    nodes += [("MultipartPartCount", str(stat.parts)), ("DeleteMarkerCount", "0")]
    return replies.xml("BucketStat", nodes)


def get_encryption(context: Context) -> Response:
    """OSS docs, "GetBucketEncryption": 404 for a bucket that does not encrypt."""
    bucket = context.state.bucket(context.bucket)
    if bucket.encryption == "None":
        details = {"BucketName": bucket.name}
        raise OssError("NoSuchServerSideEncryptionRule", details=details)
    rule: Node = ("ApplyServerSideEncryptionByDefault", encryption_nodes(bucket))
    return replies.xml("ServerSideEncryptionRule", [rule])


def get_lifecycle(context: Context) -> Response:
    """OSS docs, "GetBucketLifecycle": no bucket here has rules."""
    bucket = context.state.bucket(context.bucket)
    raise OssError("NoSuchLifecycle", details={"BucketName": bucket.name})


def get_policy(context: Context) -> Response:
    """OSS docs, "GetBucketPolicy": the document as it was given."""
    bucket = context.state.bucket(context.bucket)
    if bucket.policy is None:
        raise OssError("NoSuchBucketPolicy", details={"BucketName": bucket.name})
    return Response(bucket.policy.text, 200, content_type="application/json")


def put_bucket(context: Context) -> Response:
    """OSS docs, "PutBucket"."""
    acl = context.request.headers.get("x-oss-acl", "private")
    if acl not in ("private", "public-read", "public-read-write"):
        raise OssError("InvalidArgument", "no such bucket access control exists")
    wanted = xml.parse_bucket_configuration(small_body(context))
    context.state.create_bucket(context.bucket, storage_class=wanted, acl=acl)
    return replies.empty(200, {"Location": f"/{context.bucket}"})


def delete_bucket(context: Context) -> Response:
    """OSS docs, "DeleteBucket"."""
    context.state.delete_bucket(context.bucket)
    return replies.empty(204)


def encoding_type(query: dict[str, str]) -> str:
    """`url` or nothing; anything else is InvalidArgument."""
    kind = query.get("encoding-type", "")
    if kind not in ("", "url"):
        raise OssError("InvalidArgument", "encoding-type must be url.")
    return kind


def delete_objects(context: Context) -> Response:
    """OSS docs, "DeleteMultipleObjects"; Content-MD5: support/0016-00000606."""
    header = context.request.headers.get("Content-MD5")
    if header is None:
        raise OssError("MissingArgument", ec="0016-00000606")
    keys, quiet = xml.parse_deletion(small_body(context))
    for key in keys:
        require(context, "oss:DeleteObject", key=key)
    for key in keys:
        context.state.delete(context.bucket, key)
    if quiet:
        return replies.empty(200)
    kind = encoding_type(context.query)
    nodes: list[Node] = [("EncodingType", kind)] if kind else []
    nodes += [("Deleted", [("Key", xml.encoded(key, kind))]) for key in keys]
    return replies.xml("DeleteResult", nodes)


def small_body(context: Context) -> bytes:
    """The whole body of a request that carries XML; at most 2 MiB.

    Raises OssError: MalformedXML if it is longer, or InvalidDigest.
    """
    expected = checks.content_md5(context.request.headers.get("Content-MD5"))
    data = bytearray()
    for piece in context.body.pieces():
        data += piece
        if len(data) > checks.MAX_XML:
            raise OssError("MalformedXML")
    checks.check_md5(expected, hashlib.md5(data, usedforsecurity=False).hexdigest())
    return bytes(data)


_BUCKET = Scope.BUCKET

ROUTES = (
    Route("GetBucketInfo", _BUCKET, "GET", get_info, names("bucketInfo")),
    Route("GetBucketLocation", _BUCKET, "GET", get_location, names("location")),
    Route("GetBucketAcl", _BUCKET, "GET", get_acl, names("acl")),
    Route("GetBucketVersioning", _BUCKET, "GET", get_versioning, names("versioning")),
    Route("GetBucketTags", _BUCKET, "GET", get_tags, names("tagging")),
    Route("PutBucketTags", _BUCKET, "PUT", put_tags, names("tagging")),
    Route("DeleteBucketTags", _BUCKET, "DELETE", delete_tags, names("tagging")),
    Route("GetBucketStat", _BUCKET, "GET", get_stat, names("stat")),
    Route("GetBucketEncryption", _BUCKET, "GET", get_encryption, names("encryption")),
    Route("GetBucketLifecycle", _BUCKET, "GET", get_lifecycle, names("lifecycle")),
    Route("GetBucketPolicy", _BUCKET, "GET", get_policy, names("policy")),
    Route("PutBucket", _BUCKET, "PUT", put_bucket, headers=names("x-oss-acl")),
    Route("DeleteBucket", _BUCKET, "DELETE", delete_bucket),
    Route(
        "DeleteMultipleObjects",
        _BUCKET,
        "POST",
        delete_objects,
        needs=names("delete"),
        knows=names("encoding-type"),
    ),
)
