"""The smallest V4 signer that does: written by the page, apart from oss2's.

https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

_SAFE = "-_.~"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a request is signed with; `skew` moves our clock, in seconds."""

    id: str
    secret: str
    region: str
    token: str = ""
    skew: float = 0.0


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def sign(
    method: str,
    resource: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    keys: Keys,
) -> dict[str, str]:
    """The headers with a signature; `resource` is `/bucket/key`, as it is spelt."""
    date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + keys.skew))
    out = {**headers, "x-oss-date": date, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
    if keys.token:
        out["x-oss-security-token"] = keys.token
    signed = {name.lower(): value.strip() for name, value in out.items()}
    named = {
        name: value
        for name, value in signed.items()
        if name.startswith("x-oss-") or name in ("content-type", "content-md5")
    }
    pairs = sorted((quote(n, _SAFE), quote(v, _SAFE)) for n, v in query.items())
    canonical = [
        method,
        quote(resource, _SAFE + "/"),
        "&".join(f"{name}={value}" if value else name for name, value in pairs),
        "".join(f"{name}:{named[name]}\n" for name in sorted(named)),
        "",
        "UNSIGNED-PAYLOAD",
    ]
    scope = f"{date[:8]}/{keys.region}/oss/aliyun_v4_request"
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    key = f"aliyun_v4{keys.secret}".encode()
    for piece in scope.split("/"):
        key = _hmac(key, piece)
    text = "\n".join(["OSS4-HMAC-SHA256", date, scope, digest])
    signature = _hmac(key, text).hex()
    credential = f"Credential={keys.id}/{scope}"
    out["Authorization"] = f"OSS4-HMAC-SHA256 {credential},Signature={signature}"
    return out
