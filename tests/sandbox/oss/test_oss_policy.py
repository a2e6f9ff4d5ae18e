"""What policies allow and deny, and the words of a refusal."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import oss2
import pytest

from preflight.sandbox.oss import Credential
from preflight.sandbox.oss.policy import (
    ACTIONS,
    OWNER_ID,
    Effect,
    Policy,
    Wanted,
    lacking,
)
from preflight.sandbox.oss.routes import ROUTES
from tests.sandbox.oss.box import BUCKET, PART, Box, refused

OWN = f"acs:oss:oss-ap-southeast-1:{OWNER_ID}:"


def document(*statements: Mapping[str, Any]) -> dict[str, object]:
    return {"Version": "1", "Statement": list(statements)}


def rule(
    effect: str, action: object, resource: object = "*", **more: object
) -> dict[str, object]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def test_wildcards_principals_and_conditions() -> None:
    """Each line: statements, what is wanted, and what becomes of it."""
    prefix = {"StringLike": {"oss:Prefix": ["models/*", ""]}}
    cases: list[tuple[list[dict[str, object]], Wanted, Effect | None]] = [
        ([rule("Allow", "oss:*")], Wanted("oss:PutObject", OWN + "b/k"), Effect.ALLOW),
        ([rule("Allow", ["oss:Get*"])], Wanted("oss:PutObject", OWN + "b/k"), None),
        ([rule("Allow", "OSS:getobject")], Wanted("oss:GetObject", OWN), Effect.ALLOW),
        ([rule("Allow", "*", "acs:oss:*:*:b")], Wanted("oss:A", OWN + "b/k"), None),
        (
            [rule("Allow", "*", ["acs:oss:*:*:b", "acs:oss:*:*:b/m/*"])],
            Wanted("oss:A", OWN + "b/m/k:1"),
            Effect.ALLOW,
        ),
        (
            [rule("Allow", "*", "acs:oss:oss-cn-beijing:*:b")],
            Wanted("oss:A", OWN + "b"),
            None,
        ),
        ([rule("Allow", "*", "acs:oss:*:*:?[a]")], Wanted("oss:A", OWN + "ba"), None),
        (
            [rule("Allow", "*"), rule("Deny", "oss:Put*")],
            Wanted("oss:PutObject", OWN + "b/k"),
            Effect.DENY,
        ),
        (
            [rule("Allow", "*", Principal=["27*"])],
            Wanted("oss:A", OWN, "271"),
            Effect.ALLOW,
        ),
        ([rule("Allow", "*", Principal=["27*"])], Wanted("oss:A", OWN), None),
        ([rule("Allow", "*", Principal=[])], Wanted("oss:A", OWN), Effect.ALLOW),
        (
            [rule("Allow", "*", Condition=prefix)],
            Wanted("oss:ListObjects", OWN + "b", "", {"oss:Prefix": "models/one/"}),
            Effect.ALLOW,
        ),
        (
            [rule("Allow", "*", Condition=prefix)],
            Wanted("oss:ListObjects", OWN + "b", "", {"oss:Prefix": "other/"}),
            None,
        ),
        (
            [rule("Deny", "*", Condition={"Bool": {"acs:SecureTransport": "false"}})],
            Wanted("oss:A", OWN, "", {"acs:SecureTransport": "false"}),
            Effect.DENY,
        ),
        (
            [
                rule(
                    "Deny",
                    "*",
                    Condition={"NotIpAddress": {"acs:SourceIp": ["10.0.0.0/8"]}},
                )
            ],
            Wanted("oss:A", OWN, "", {"acs:SourceIp": "127.0.0.1"}),
            Effect.DENY,
        ),
    ]
    for statements, wanted, expected in cases:
        policy = Policy.from_json(document(*statements))
        assert policy.effect(wanted) is expected, statements
        again = Policy.from_json(json.loads(policy.text))
        assert again.statements == policy.statements


def test_what_is_no_policy_is_refused_with_a_sentence() -> None:
    unknown = {"NumericLessThan": {"acs:X": "1"}}
    for value, words in (
        ([], "a policy is a JSON object"),
        ({"Version": "2"}, "a policy is a JSON object"),
        (document(), "Statement has to be a list"),
        (document({"Effect": "Perhaps"}), "Effect has to be"),
        (document(rule("Allow", 3)), "Action has to be a string"),
        (document({**rule("Allow", "*"), "NotAction": "*"}), "NotAction is not known"),
        (document(rule("Allow", "*", Condition=unknown)), "NumericLessThan"),
        (
            document(
                rule("Allow", "*", Condition={"StringEquals": {"acs:Tag": "1"}}),
            ),
            "acs:Tag is not known",
        ),
    ):
        with pytest.raises(ValueError, match=words):
            Policy.from_json(value)


def every_call(box: Box, client: oss2.Bucket) -> dict[str, Callable[[], object]]:
    """One call for each operation; the owner of the bucket prepares it."""
    owner = box.client()

    def upload() -> str:
        return str(owner.init_multipart_upload("k").upload_id)

    def completed() -> object:
        number = upload()
        part = owner.upload_part("k", number, 1, b"x" * PART)
        listed = [oss2.models.PartInfo(1, part.etag)]
        return client.complete_multipart_upload("k", number, listed)

    rules = oss2.models.Tagging(oss2.models.TaggingRule())
    service = oss2.Service(client.auth, box.endpoint.url, region="ap-southeast-1")
    other = box.client(bucket="another-bucket")
    other.auth = client.auth
    return {
        "AppendObject": lambda: client.append_object("new", 0, b"x"),
        "CopyObject": lambda: client.copy_object(BUCKET, "k", "copy"),
        "UploadPartCopy": lambda: client.upload_part_copy(
            BUCKET, "k", (0, 0), "k", upload(), 1
        ),
        "GetObjectTagging": lambda: client.get_object_tagging("k"),
        "PutObjectTagging": lambda: client.put_object_tagging("k", rules),
        "DeleteObjectTagging": lambda: client.delete_object_tagging("k"),
        "GetBucketStat": client.get_bucket_stat,
        "GetBucketEncryption": client.get_bucket_encryption,
        "GetBucketLifecycle": client.get_bucket_lifecycle,
        "GetBucketPolicy": client.get_bucket_policy,
        "AbortMultipartUpload": lambda: client.abort_multipart_upload("k", upload()),
        "CompleteMultipartUpload": completed,
        "DeleteBucket": other.delete_bucket,
        "DeleteBucketTags": client.delete_bucket_tagging,
        "DeleteMultipleObjects": lambda: client.batch_delete_objects(["gone"]),
        "DeleteObject": lambda: client.delete_object("gone"),
        "GetBucketAcl": client.get_bucket_acl,
        "GetBucketInfo": client.get_bucket_info,
        "GetBucketLocation": client.get_bucket_location,
        "GetBucketTags": client.get_bucket_tagging,
        "GetBucketVersioning": client.get_bucket_versioning,
        "GetObject": lambda: client.get_object("k").read(),
        "GetObjectMeta": lambda: client.get_object_meta("k"),
        "HeadObject": lambda: client.head_object("k"),
        "InitiateMultipartUpload": lambda: client.init_multipart_upload("k"),
        "ListBuckets": service.list_buckets,
        "ListMultipartUploads": client.list_multipart_uploads,
        "ListObjects": client.list_objects,
        "ListObjectsV2": client.list_objects_v2,
        "ListParts": lambda: client.list_parts("k", upload()),
        "PutBucket": other.create_bucket,
        "PutBucketTags": lambda: client.put_bucket_tagging(rules),
        "PutObject": lambda: client.put_object("k", b"x"),
        "UploadPart": lambda: client.upload_part("k", upload(), 1, b"x"),
    }


ACTION_OF = {
    "AppendObject": "oss:PutObject",
    "CopyObject": "oss:PutObject",
    "UploadPartCopy": "oss:PutObject",
    "CompleteMultipartUpload": "oss:PutObject",
    "DeleteBucketTags": "oss:DeleteBucketTagging",
    "DeleteMultipleObjects": "oss:DeleteObject",
    "GetBucketTags": "oss:GetBucketTagging",
    "GetObjectMeta": "oss:GetObject",
    "HeadObject": "oss:GetObject",
    "InitiateMultipartUpload": "oss:PutObject",
    "ListObjectsV2": "oss:ListObjects",
    "PutBucketTags": "oss:PutBucketTagging",
    "UploadPart": "oss:PutObject",
}


def test_every_operation_asks_for_its_action(box: Box) -> None:
    """With all actions but that one it is refused, and with that one it is not."""
    box.client().put_object("k", b"x")
    names = {route.name for route in ROUTES}
    for name in sorted(names):
        action = ACTION_OF.get(name, f"oss:{name}")
        box.state.add_credential(Credential("LTAIclerk", "s", policy=lacking(action)))
        client = box.client(key_id="LTAIclerk", secret="s")
        calls = every_call(box, client)
        assert set(calls) == names
        error = refused("AccessDenied", 403, calls[name])
        body = error.body or base64.b64decode(error.headers["x-oss-err"])
        assert f"<AuthAction>{action}</AuthAction>".encode() in body, name
        assert b"<NoPermissionType>ImplicitDeny<" in body
        missing = action in ("oss:PutBucket", "oss:ListBuckets", "oss:DeleteBucket")
        assert error.ec == ("0003-00000202" if missing else "0003-00000001")
        read = {"oss:GetObject"} if "Copy" in name else set()
        others = lacking(*(one for one in ACTIONS if one not in {action, *read}))
        box.state.restrict("LTAIclerk", others)
        try:
            calls[name]()
        except oss2.exceptions.NotFound:  # such a bucket, or rules, are not there
            assert name.endswith(("Bucket", "Encryption", "Lifecycle", "Policy"))


def test_the_words_of_a_refusal(box: Box) -> None:
    box.client().put_object("k", b"x")
    clerk = Credential("LTAIclerk", "s", policy=Policy())
    token = Credential("STS.clerk", "s", token="t", policy=Policy())
    stranger = Credential("LTAIother", "s", account="9" * 16)
    for key in (clerk, token, stranger):
        box.state.add_credential(key)

    def told(who: Credential, call: Callable[[oss2.Bucket], object]) -> tuple[str, str]:
        client = box.client(key_id=who.id, secret=who.secret, token=who.token)
        error = refused("AccessDenied", 403, lambda: call(client))
        return error.message, error.ec or ""

    def put(client: oss2.Bucket) -> object:
        return client.put_object("k", b"y")

    others = "The bucket you access does not belong to you."
    by_acl = "You have no right to access this object because of bucket acl."
    by_policy = "Access denied by bucket policy."
    assert told(clerk, put) == (by_acl, "0003-00000001")
    assert told(stranger, put) == (by_acl, "0003-00000001")
    assert told(stranger, oss2.Bucket.get_bucket_info) == (others, "0003-00000001")
    assert told(token, put) == (
        "Access denied by authorizer's policy.",
        "0003-00000301",
    )
    allowed = rule("Allow", "*")
    denied = rule("Deny", "oss:PutObject", f"acs:oss:*:*:{BUCKET}/*")
    box.state.restrict("LTAIclerk", Policy.from_json(document(allowed, denied)))
    assert told(clerk, put) == (by_policy, "0003-00000201")
    everybody = {**denied, "Principal": ["*"]}
    box.state.set_policy(BUCKET, Policy.from_json(document(everybody)))
    assert told(clerk, put) == (by_policy, "0003-00000203")
    box.state.restrict("LTAIclerk", Policy.from_json(document(allowed)))
    assert told(clerk, put) == (by_policy, "")
    refused("AccessDenied", 403, lambda: box.client().put_object("k", b"y"))
    stranger_may = rule("Allow", "oss:PutObject", Principal=[stranger.account])
    box.state.set_policy(BUCKET, Policy.from_json(document(stranger_may)))
    other = box.client(key_id="LTAIother", secret="s")
    assert other.put_object("k", b"z").status == 200
    refused("AccessDenied", 403, lambda: other.get_object("k"))


def test_a_key_of_kms_that_may_not_be_used(box: Box) -> None:
    box.client().put_object("k", b"x")
    box.state.set_encryption(BUCKET, "KMS", "key-1")
    box.state.add_credential(Credential("LTAIclerk", "s", policy=lacking()))
    client = box.client(key_id="LTAIclerk", secret="s")
    for call in (
        lambda: client.put_object("k", b"y"),
        lambda: client.init_multipart_upload("k"),
        lambda: client.get_object("k"),
    ):
        error = refused("AccessDenied", 403, call)
        assert error.message == "This request is forbidden by kms"
    keys = rule("Allow", ["kms:*"], f"acs:kms:*:{OWNER_ID}:key/key-1")
    box.state.restrict(
        "LTAIclerk", Policy.from_json(document(rule("Allow", "oss:*"), keys))
    )
    assert client.put_object("k", b"y").status == 200
    assert client.get_object("k").read() == b"y"
    assert box.client().get_bucket_info().bucket_encryption_rule.sse_algorithm == "KMS"
