"""The V1 signature: HMAC-SHA1 over a few headers, the resource and sub-resources.

OSS docs, "Include a V1 signature in the Authorization header" and "... in a URL".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.signing import (
    Account,
    Claim,
    SignedRequest,
    accept,
    check_skew,
    known,
)

QUERY_NAMES = frozenset({"OSSAccessKeyId", "Expires", "Signature", "security-token"})
# Query parameters that are signed, as far as the sandbox knows them
# ("CanonicalizedResource").
_SUBRESOURCES = frozenset(
    {
        "acl",
        "append",
        "bucketInfo",
        "continuation-token",
        "delete",
        "encryption",
        "lifecycle",
        "location",
        "objectMeta",
        "partNumber",
        "policy",
        "position",
        "security-token",
        "stat",
        "tagging",
        "uploadId",
        "uploads",
        "versioning",
    }
)


def verify_header(request: SignedRequest, account: Account) -> Credential:
    """The key behind `Authorization: OSS id:signature`; raises OssError."""
    header = request.headers["authorization"]
    access_key_id, _, signature = header[len("OSS ") :].partition(":")
    date = request.headers.get("x-oss-date") or request.headers.get("date", "")
    check_skew(_http_time(date), account.now)
    token = request.headers.get("x-oss-security-token")
    return _verify(request, account, (access_key_id, signature, token), date)


def verify_query(request: SignedRequest, account: Account) -> Credential:
    """The key behind a signed URL; raises OssError."""
    query = request.query
    expires = query.get("Expires", "")
    if not expires.isdigit() or account.now > int(expires):
        raise OssError("AccessDenied", "Request has expired.")
    access_key_id = query.get("OSSAccessKeyId", "")
    named = (access_key_id, query["Signature"], query.get("security-token"))
    return _verify(request, account, named, expires)


def _verify(
    request: SignedRequest,
    account: Account,
    named: tuple[str, str, str | None],
    date: str,
) -> Credential:
    access_key_id, signature, token = named
    found = known(account, access_key_id, token)
    text = _text(request, date)
    claim = Claim(access_key_id, signature, token, text, _sign(found, text))
    return accept(found, claim, account.now)


def _http_time(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        text = "OSS authentication requires a valid Date."
        raise OssError("AccessDenied", text) from None


def _text(request: SignedRequest, date: str) -> str:
    headers = request.headers
    own = sorted((k, v) for k, v in headers.items() if k.startswith("x-oss-"))
    query = ((k, v) for k, v in request.query.items() if k in _SUBRESOURCES)
    lines = [
        request.method,
        headers.get("content-md5", ""),
        headers.get("content-type", ""),
        date,
        "".join(f"{k}:{v}\n" for k, v in own) + request.resource + _query(query),
    ]
    return "\n".join(lines)


def _query(pairs: Iterable[tuple[str, str]]) -> str:
    text = "&".join(f"{k}={v}" if v else k for k, v in sorted(pairs))
    return f"?{text}" if text else ""


def _sign(found: Credential, text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")
    digest = hmac.new(found.secret.encode(), data, hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
