"""The RAM permissions that a push needs, and the policy that grants them.

OSS docs, "Authorization syntax and elements", read 2026-11-26:
https://www.alibabacloud.com/help/en/oss/user-guide/authorization-syntax-and-elements
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any


class Permission(str, Enum):
    """An action of a RAM policy."""

    GET_BUCKET_INFO = "oss:GetBucketInfo"
    GET_BUCKET_TAGGING = "oss:GetBucketTagging"
    PUT_BUCKET_TAGGING = "oss:PutBucketTagging"
    LIST_OBJECTS = "oss:ListObjects"
    LIST_UPLOADS = "oss:ListMultipartUploads"
    LIST_PARTS = "oss:ListParts"
    GET_OBJECT = "oss:GetObject"
    PUT_OBJECT = "oss:PutObject"
    ABORT_UPLOAD = "oss:AbortMultipartUpload"

    @property
    def is_of_bucket(self) -> bool:
        """Whether its resource is the bucket itself, not the objects in it."""
        return self in _OF_BUCKET

    def resource(self, bucket: str, key: str = "") -> str:
        """What it must be granted on, in the form of a policy."""
        return f"acs:oss:*:*:{bucket}" + ("" if self.is_of_bucket else f"/{key}")


_OF_BUCKET = {
    Permission.GET_BUCKET_INFO,
    Permission.GET_BUCKET_TAGGING,
    Permission.PUT_BUCKET_TAGGING,
    Permission.LIST_OBJECTS,
    Permission.LIST_UPLOADS,
}
# Setting the bucket's tag is asked for with a flag of its own.
OF_A_PUSH = tuple(p for p in Permission if p is not Permission.PUT_BUCKET_TAGGING)


def policy(bucket: str, prefix: str, *, tag: bool = False) -> dict[str, Any]:
    """A RAM policy for pushes below one prefix; `tag` may set the bucket's tag, too."""
    wanted = [p for p in Permission if p in OF_A_PUSH or tag]
    of_bucket = [p for p in wanted if p.is_of_bucket]
    of_objects = [p for p in wanted if not p.is_of_bucket]
    return {
        "Version": "1",
        "Statement": [
            _allow(of_bucket, Permission.LIST_OBJECTS.resource(bucket)),
            _allow(of_objects, Permission.PUT_OBJECT.resource(bucket, f"{prefix}*")),
        ],
    }


def _allow(permissions: Iterable[Permission], resource: str) -> dict[str, Any]:
    actions = [permission.value for permission in permissions]
    return {"Effect": "Allow", "Action": actions, "Resource": [resource]}
