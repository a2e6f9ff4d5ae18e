"""Routes of the tags of an object."""

from __future__ import annotations

from werkzeug.wrappers import Response

from preflight.sandbox.oss import replies, xml
from preflight.sandbox.oss.buckets import small_body, tagging
from preflight.sandbox.oss.routing import Context, Route, Scope, names


def get_tags(context: Context) -> Response:
    """OSS docs, "GetObjectTagging": no tags is an empty set."""
    found = context.state.object(context.bucket, context.key)
    return tagging(found.attributes.tags)


def put_tags(context: Context) -> Response:
    """OSS docs, "PutObjectTagging": replaces all tags."""
    tags = xml.parse_tags(small_body(context), most=10, longest=(128, 256))
    context.state.set_object_tags(context.bucket, context.key, tags)
    return replies.empty(200)


def delete_tags(context: Context) -> Response:
    """OSS docs, "DeleteObjectTagging"."""
    context.state.set_object_tags(context.bucket, context.key, {})
    return replies.empty(204)


_TAGGING = names("tagging")

ROUTES = (
    Route("GetObjectTagging", Scope.OBJECT, "GET", get_tags, _TAGGING),
    Route("PutObjectTagging", Scope.OBJECT, "PUT", put_tags, _TAGGING),
    Route("DeleteObjectTagging", Scope.OBJECT, "DELETE", delete_tags, _TAGGING),
)
