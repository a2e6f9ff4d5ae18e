"""Who signed a request, verified for real: V4 and V1, in the header and in the URL.

OSS docs, "Include a V4 signature in the Authorization header", "Include a V4
signature in a URL" and the same pages for V1 (alibabacloud.com/help/en/oss/
developer-reference). V2 is not offered. Pure functions over a `SignedRequest`.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from preflight.sandbox.oss import signature_v1, signature_v4
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.signing import Account, SignedRequest

# What a URL may carry for its signature, beside the operation's own parameters.
QUERY_NAMES = signature_v1.QUERY_NAMES | signature_v4.QUERY_NAMES


def verify(request: SignedRequest, account: Account) -> Credential | None:
    """The key that signed the request; None for an anonymous one.

    Raises OssError as OSS does: InvalidAccessKeyId, SignatureDoesNotMatch,
    RequestTimeTooSkewed, SecurityTokenExpired, InvalidSecurityToken,
    InvalidArgument for a wrong region, AccessDenied for an expired URL.
    """
    if request.bare:
        with suppress(OssError):
            return _verify(request, account)
    return _verify(replace(request, bare=False), account)


def _verify(request: SignedRequest, account: Account) -> Credential | None:
    authorization = request.headers.get("authorization", "")
    if authorization.startswith(signature_v4.NAME + " "):
        return signature_v4.verify_header(request, account)
    is_v1 = authorization.startswith("OSS ") or "Signature" in request.query
    if is_v1 and account.strict:
        # OSS docs, support/0002-00000080 and "Upgrade from V1 to V4 signatures"
        text = "Signature V1 is not supported for this account. Sign with V4."
        raise OssError("AccessDenied", text, ec="0002-00000080")
    if authorization.startswith("OSS "):
        return signature_v1.verify_header(request, account)
    if authorization:
        text = "The authorization header is malformed or of a version not offered."
        raise OssError("InvalidArgument", text)
    if "x-oss-signature-version" in request.query:
        return signature_v4.verify_query(request, account)
    if "Signature" in request.query:
        return signature_v1.verify_query(request, account)
    return None


def claimed_id(request: SignedRequest) -> str:
    """The access key id that the request names, verified or not."""
    header = request.headers.get("authorization", "")
    if header.startswith("OSS "):
        return header[len("OSS ") :].partition(":")[0]
    named = request.query.get("x-oss-credential", "")
    named = header.partition("Credential=")[2] or named
    return named.partition("/")[0] or request.query.get("OSSAccessKeyId", "")
