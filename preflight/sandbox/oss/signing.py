"""What V1 and V4 signatures share: the request, the key, the token, the clock."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import OssError

MAX_SKEW = 900  # seconds; OSS docs, support/0002-00000504


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature covers; header names are lower case, all is decoded.

    `bare`: the path is a bucket's without a slash behind it. Clients that write so
    sign it so; OSS itself is asked in path style at addresses of its own only.
    """

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    bare: bool = False

    @property
    def resource(self) -> str:
        """The signed path: always with the bucket, whatever the style of the URL."""
        if self.bare:
            return f"/{self.bucket}"
        return f"/{self.bucket}/{self.key}" if self.bucket else "/"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its signature."""

    access_key_id: str
    signature: str
    token: str | None
    text: str  # the string to sign that we computed
    digest: str  # the signature it should have


@dataclass(frozen=True, slots=True)
class Account:
    """Against what a request is verified; `now` is in seconds since 1970.

    `strict`: the account is a new one, which may sign with V4 alone.
    """

    credentials: Mapping[str, Credential]
    region: str
    now: float
    strict: bool = False


def known(account: Account, access_key_id: str, token: str | None) -> Credential:
    """The credential of that id; a temporary one needs its token to be known."""
    found = account.credentials.get(access_key_id)
    details = {"OSSAccessKeyId": access_key_id}
    if found is None or (found.token is not None and token is None):
        raise OssError("InvalidAccessKeyId", details=details)
    if found.token is None and token is not None:
        # OSS docs, support/0002-00000002: a token beside a key that is not of STS
        raise OssError("InvalidAccessKeyId", ec="0002-00000002", details=details)
    return found


def accept(found: Credential, claim: Claim, now: float) -> Credential:
    """The credential, if its token and the signature are good."""
    if found.token != claim.token:
        raise OssError("InvalidSecurityToken")
    if found.expires_at is not None and now >= found.expires_at:
        raise OssError("SecurityTokenExpired")
    if not hmac.compare_digest(claim.digest.encode(), claim.signature.encode()):
        details = {
            "OSSAccessKeyId": claim.access_key_id,
            "SignatureProvided": claim.signature,
            "StringToSign": claim.text,
        }
        raise OssError("SignatureDoesNotMatch", details=details)
    return found


def check_skew(at: float, now: float) -> None:
    """At most 15 minutes between the two clocks, or RequestTimeTooSkewed."""
    if abs(at - now) <= MAX_SKEW:
        return
    details = {
        "MaxAllowedSkewMilliseconds": str(MAX_SKEW * 1000),
        "RequestTime": _iso(at),
        "ServerTime": _iso(now),
    }
    raise OssError("RequestTimeTooSkewed", details=details)


def _iso(at: float) -> str:
    moment = datetime.fromtimestamp(at, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
