"""Who asks, and may he: from a request to the answer of the policies.

OSS docs, "Authorization process of OSS", and the pages support/0003-00000001 (nothing
allows it), -00000201 (a RAM policy denies it), -00000202 (nothing allows it, and there
is no resource yet), -00000203 (RAM and bucket policy deny it), -00000301 (a token's
policy), -00000905 (tags with an upload) and "HTTP status code 403".
"""

from __future__ import annotations

from dataclasses import replace

from preflight.sandbox.oss import signature
from preflight.sandbox.oss.checks import check_bucket_name
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.policy import OWNER_ID, Effect, Wanted
from preflight.sandbox.oss.records import Bucket
from preflight.sandbox.oss.routing import Context, Route, Scope
from preflight.sandbox.oss.signing import Account, SignedRequest
from preflight.sandbox.oss.xml import Node

_OTHERS_BUCKET = "The bucket you access does not belong to you."
_OTHERS_OBJECT = "You have no right to access this object because of bucket acl."
_BY_POLICY = "Access denied by bucket policy."
# The permissions whose name is not that of the operation (OSS docs, "Authorization
# syntax and elements").
_ACTIONS = {
    "AppendObject": "oss:PutObject",
    "CopyObject": "oss:PutObject",
    "UploadPartCopy": "oss:PutObject",
    "GetObjectMeta": "oss:GetObject",
    "HeadObject": "oss:GetObject",
    "InitiateMultipartUpload": "oss:PutObject",
    "UploadPart": "oss:PutObject",
    "CompleteMultipartUpload": "oss:PutObject",
    "ListObjectsV2": "oss:ListObjects",
    "GetBucketTags": "oss:GetBucketTagging",
    "PutBucketTags": "oss:PutBucketTagging",
    "DeleteBucketTags": "oss:DeleteBucketTagging",
}
_PUBLIC = frozenset({"oss:GetObject"})
# OSS docs, "GetBucketInfo": "from any OSS endpoint"; so does GetBucketLocation.
_ANY_ENDPOINT = frozenset({"GetBucketInfo", "GetBucketLocation", "PutBucket"})


def signed(context: Context) -> SignedRequest:
    """What a signature of the request covers."""
    headers = {name.lower(): text for name, text in context.request.headers.items()}
    request = context.request
    bare = request.environ["RAW_URI"].partition("?")[0] == f"/{context.bucket}"
    return SignedRequest(
        request.method, context.bucket, context.key, context.query, headers, bare
    )


def authorize(context: Context, route: Route) -> Context:
    """The context with who it is; raises OssError unless he may do what he asks for."""
    state = context.state
    now = state.clock()
    account = Account(state.credentials, state.region, now, strict=state.strict_v4)
    context = replace(context, who=signature.verify(signed(context), account))
    if context.bucket:
        check_bucket_name(context.bucket)
    if route.name != "DeleteMultipleObjects":  # which asks for each key
        require(context, _ACTIONS.get(route.name, f"oss:{route.name}"))
    if context.bucket and route.name not in _ANY_ENDPOINT:
        _check_endpoint(context)
    return context


def require(
    context: Context, action: str, *, bucket: str = "", key: str = "", ec: str = ""
) -> None:
    """Raise AccessDenied unless the request may do this too.

    `bucket` and `key` where it is about another place than the request; `ec` where
    the refusal of this action has one of its own.
    """
    bucket, key = (bucket, key) if bucket else (context.bucket, key or context.key)
    place = f"{bucket}/{key}" if key else bucket or "*"
    who = context.who
    wanted = Wanted(
        action,
        f"acs:oss:oss-{context.state.region}:{OWNER_ID}:{place}",
        who.principal if who else "",
        {
            "oss:Prefix": context.query.get("prefix", ""),
            "oss:Delimiter": context.query.get("delimiter", ""),
            "acs:SourceIp": context.request.remote_addr or "",
            "acs:SecureTransport": str(context.request.is_secure).lower(),
        },
    )
    _judge(context, wanted, context.state.find_bucket(bucket), ec)


def _judge(context: Context, wanted: Wanted, bucket: Bucket | None, ec: str) -> None:
    who = context.who
    by_key = who.policy.effect(wanted) if who and who.policy else None
    by_bucket = bucket.policy.effect(wanted) if bucket and bucket.policy else None
    if Effect.DENY in (by_key, by_bucket):
        by_ram = by_key is Effect.DENY
        code = "0003-00000203" if by_key is by_bucket else ""
        code = code or ("0003-00000201" if by_ram else "")
        raise _denied(wanted, who, _BY_POLICY, code, by_ram)
    owns = who is not None and who.policy is None and who.account == OWNER_ID
    if owns or by_bucket or (by_key and who and who.account == OWNER_ID):
        return
    is_public = bucket is not None and bucket.acl.startswith("public-read")
    if is_public and wanted.action in _PUBLIC:
        return
    if who is not None and who.token is not None and who.account == OWNER_ID:
        text = "Access denied by authorizer's policy."
        raise _denied(wanted, who, text, "0003-00000301")
    text = _OTHERS_OBJECT if context.scope is Scope.OBJECT else _OTHERS_BUCKET
    code = ec or ("0003-00000001" if bucket else "0003-00000202")
    raise _denied(wanted, who, text, code)


def _denied(
    wanted: Wanted,
    who: Credential | None,
    text: str,
    ec: str,
    explicitly_by_key: bool | None = None,
) -> OssError:
    """The refusal with its AccessDeniedDetail, as support/0003-00000201 shows it."""
    by_identity = explicitly_by_key in (None, True)
    kind = "AccountLevelIdentityBasedPolicy" if by_identity else "ResourceBasedPolicy"
    explicit = "ImplicitDeny" if explicitly_by_key is None else "ExplicitDeny"
    detail: list[Node] = [
        ("PolicyType", kind),
        ("AuthPrincipalOwnerId", who.account if who else ""),
        ("AuthPrincipalType", "SubUser" if who and who.policy else "Account"),
        ("AuthPrincipalDisplayName", who.principal if who else ""),
        ("NoPermissionType", explicit),
        ("AuthAction", wanted.action),
    ]
    return OssError("AccessDenied", text, ec=ec, details={"AccessDeniedDetail": detail})


def require_kms(context: Context, action: str) -> None:
    """Raise AccessDenied unless the bucket's own key of KMS may be used so.

    OSS docs, "Server-side encryption": a RAM user who writes needs
    `kms:GenerateDataKey`, one who reads `kms:Decrypt`, when a key of one's own
    encrypts; with the key that OSS manages nothing more is needed.
    """
    key = context.state.bucket(context.bucket).kms_key
    policy = context.who.policy if context.who else None
    if not key or policy is None:
        return
    resource = f"acs:kms:{context.state.region}:{OWNER_ID}:key/{key}"
    wanted = Wanted(action, resource, context.who.principal if context.who else "")
    if policy.effect(wanted) is not Effect.ALLOW:
        raise OssError("AccessDenied", "This request is forbidden by kms")


def _check_endpoint(context: Context) -> None:
    """A bucket of another region answers at its own endpoint alone.

    OSS docs, "HTTP status code 403": AccessDenied, with the right endpoint.
    """
    bucket = context.state.bucket(context.bucket)
    if bucket.region == context.state.region:
        return
    raise OssError(
        "AccessDenied",
        "The bucket you are attempting to access must be addressed using the specified"
        " endpoint. Please send all future requests to this endpoint.",
        details={
            "Bucket": bucket.name,
            "Endpoint": f"oss-{bucket.region}.aliyuncs.com",
        },
    )
