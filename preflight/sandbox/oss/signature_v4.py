"""The V4 signature: HMAC-SHA256 with date, region and product in its scope.

OSS docs, "Include a V4 signature in the Authorization header" and "... in a URL".
"""

from __future__ import annotations

import hashlib
import hmac
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from time import strptime
from urllib.parse import quote

from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.signing import (
    MAX_SKEW,
    Account,
    Claim,
    SignedRequest,
    accept,
    check_skew,
    known,
)

NAME = "OSS4-HMAC-SHA256"
MAX_EXPIRES = 604_800  # seconds; a URL lives for at most seven days
_SAFE = "-_.~"
QUERY_NAMES = frozenset(
    {
        "x-oss-signature-version",
        "x-oss-credential",
        "x-oss-date",
        "x-oss-expires",
        "x-oss-signature",
        "x-oss-additional-headers",
        "x-oss-security-token",
    }
)


@dataclass(frozen=True, slots=True)
class _Named:
    """What a request says of its signature, in the header or in the URL."""

    credential: str
    signature: str
    additional: str  # names of more signed headers, with semicolons
    token: str | None
    date: str
    query: Mapping[str, str]  # the signed parameters


def verify_header(request: SignedRequest, account: Account) -> Credential:
    """The key behind `Authorization: OSS4-HMAC-SHA256 ...`; raises OssError."""
    headers = request.headers
    items = headers["authorization"][len(NAME) :].split(",")
    fields = dict(item.strip().partition("=")[::2] for item in items)
    date = headers.get("x-oss-date", "")
    if headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
        text = "x-oss-content-sha256 must be UNSIGNED-PAYLOAD."
        raise OssError("InvalidArgument", text)
    check_skew(_time(date), account.now)
    named = _Named(
        credential=fields.get("Credential", ""),
        signature=fields.get("Signature", ""),
        additional=fields.get("AdditionalHeaders", ""),
        token=headers.get("x-oss-security-token"),
        date=date,
        query=request.query,
    )
    return _verify(request, account, named)


def verify_query(request: SignedRequest, account: Account) -> Credential:
    """The key behind a signed URL; raises OssError."""
    query = dict(request.query)
    if query["x-oss-signature-version"] != NAME:
        raise OssError("InvalidArgument", "Invalid x-oss-signature-version value.")
    named = _Named(
        credential=query.get("x-oss-credential", ""),
        signature=query.pop("x-oss-signature", ""),
        additional=query.get("x-oss-additional-headers", ""),
        token=query.get("x-oss-security-token"),
        date=query.get("x-oss-date", ""),
        query=query,
    )
    _check_life(_time(named.date), query.get("x-oss-expires", ""), account.now)
    return _verify(request, account, named)


def _check_life(start: float, expires: str, now: float) -> None:
    if not expires.isdigit() or not 1 <= int(expires) <= MAX_EXPIRES:
        raise OssError("InvalidArgument", "Invalid x-oss-expires value.")
    if start > now + MAX_SKEW:
        check_skew(start, now)
    if now > start + int(expires):
        raise OssError("AccessDenied", "Request has expired.")


def _verify(request: SignedRequest, account: Account, named: _Named) -> Credential:
    access_key_id, scope = _scope(named, account.region)
    found = known(account, access_key_id, named.token)
    canonical = _canonical(request, named)
    text = "\n".join([NAME, named.date, scope, hashlib.sha256(canonical).hexdigest()])
    digest = hmac.new(_key(found.secret, scope), text.encode(), hashlib.sha256)
    claim = Claim(access_key_id, named.signature, named.token, text, digest.hexdigest())
    return accept(found, claim, account.now)


def _scope(named: _Named, region: str) -> tuple[str, str]:
    """The key id and the scope, checked piece by piece.

    OSS docs, support/0002-00000226 (region) and support/0002-00000227 (product).
    """
    access_key_id, _, scope = named.credential.partition("/")
    pieces = scope.split("/")
    right = (named.date[:8], region, "oss", "aliyun_v4_request")
    names = ("date", "region", "product", "terminator")
    codes = ("", "0002-00000226", "0002-00000227", "")
    if len(pieces) != len(right):
        raise OssError("InvalidArgument", "Invalid credential in Authorization header.")
    for piece, wanted, name, ec in zip(pieces, right, names, codes, strict=True):
        if piece != wanted:
            text = f"Invalid signing {name} in Authorization header."
            raise OssError("InvalidArgument", text, ec=ec)
    return access_key_id, scope


def _time(text: str) -> float:
    try:
        return timegm(strptime(text, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        text = "The x-oss-date must be an ISO 8601 time such as 20261123T120000Z."
        raise OssError("InvalidArgument", text) from None


def _canonical(request: SignedRequest, named: _Named) -> bytes:
    pairs = sorted((quote(k, _SAFE), quote(v, _SAFE)) for k, v in named.query.items())
    names = sorted({name for name in named.additional.split(";") if name})
    lines = [
        request.method,
        quote(request.resource, _SAFE + "/"),
        "&".join(f"{name}={value}" if value else name for name, value in pairs),
        "".join(
            f"{name}:{value.strip()}\n"
            for name, value in sorted(request.headers.items())
            if _is_signed(name) or name in names
        ),
        ";".join(names),
        request.headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD"),
    ]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def _is_signed(name: str) -> bool:
    return name in ("content-type", "content-md5") or name.startswith("x-oss-")


def _key(secret: str, scope: str) -> bytes:
    key = ("aliyun_v4" + secret).encode()
    for piece in scope.split("/"):
        key = hmac.new(key, piece.encode(), hashlib.sha256).digest()
    return key
