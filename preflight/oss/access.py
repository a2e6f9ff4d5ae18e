"""Keys, region and endpoint of OSS as one checked value; it never shows a secret."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urlsplit

from preflight.errors import ConfigurationError

# oss-REGION.aliyuncs.com, oss-REGION-internal.aliyuncs.com; the accelerated ones
# (oss-accelerate, oss-accelerate-overseas) name no region.
# https://www.alibabacloud.com/help/en/oss/user-guide/regions-and-endpoints
_PUBLIC_HOST = re.compile(r"oss-([a-z0-9-]+?)(-internal)?\.aliyuncs\.com")
_REGION = re.compile(r"[a-z]{2}(-[a-z0-9]+)+")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")

_SECRETS_IN_TEXT = re.compile(
    r"(?i)((?:x-oss-)?(?:signature|security-token|credential|ossaccesskeyid)\s*[=:]\s*)"
    r"[^\s&,'\"<>]+"
)
_USER_IN_URL = re.compile(r"(://)[^/\s@]+@")


@dataclass(frozen=True, slots=True)
class OssKeys:
    """One key pair; `security_token` only with temporary (STS) keys."""

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)


CredentialsSource = Callable[[], OssKeys]
"""Reads the keys anew from where they come from."""


@dataclass(frozen=True, slots=True)
class OssAccess:
    """How to reach OSS. Make it with `oss_access`, which checks and completes it."""

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(repr=False)
    region: str
    endpoint: str

    @property
    def keys(self) -> OssKeys:
        """The key pair alone."""
        return OssKeys(self.access_key_id, self.access_key_secret, self.security_token)

    def with_keys(self, keys: OssKeys) -> OssAccess:
        """The same place, reached with other keys."""
        return replace(
            self,
            access_key_id=keys.access_key_id,
            access_key_secret=keys.access_key_secret,
            security_token=keys.security_token,
        )

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is this machine (the sandbox)."""
        return is_loopback(urlsplit(self.endpoint).hostname or "")

    @property
    def host(self) -> str:
        """The endpoint's host name, for messages."""
        return urlsplit(self.endpoint).hostname or ""

    def mask(self, text: str) -> str:
        """`text` without keys, tokens, signatures and passwords in URLs."""
        keys = (self.access_key_secret, self.security_token, self.access_key_id)
        for secret in keys:
            if secret:
                text = text.replace(secret, "***")
        return _USER_IN_URL.sub(r"\1***@", _SECRETS_IN_TEXT.sub(r"\1***", text))


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        return False


def _split(endpoint: str) -> SplitResult:
    parts = urlsplit(endpoint)
    try:
        _ = parts.port
    except ValueError as exc:
        raise ConfigurationError(f"OSS endpoint {parts.hostname}: {exc}") from exc
    extra = (
        parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    )
    if extra or not _HOST.fullmatch(parts.hostname or ""):
        raise ConfigurationError(
            "the OSS endpoint is not a host name",
            hint="write https://oss-ap-southeast-1.aliyuncs.com",
        )
    return parts


def _checked_endpoint(endpoint: str) -> str:
    """The endpoint with its scheme; https unless it is this machine."""
    # oss2 would turn an endpoint without a scheme into plain http.
    parts = _split(endpoint if "://" in endpoint else f"https://{endpoint}")
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigurationError(
            f"the OSS endpoint must be https, not {parts.scheme}://{host}",
            hint=f"write https://{host}",
        )
    if host.endswith(".aliyuncs.com") and not host.startswith("oss-"):
        first, _, rest = host.partition(".")
        if rest.startswith("oss-"):
            raise ConfigurationError(
                f"the OSS endpoint names a bucket: {first}",
                hint=f"write https://{rest}",
            )
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def _region_of(endpoint: str) -> str:
    found = _PUBLIC_HOST.fullmatch(urlsplit(endpoint).hostname or "")
    if not found or found[1].startswith("accelerate"):
        return ""
    return found[1]


def _checked_region(region: str, endpoint: str) -> str:
    """The region for the signature: the one given, else the endpoint's own."""
    if region.startswith("oss-"):
        raise ConfigurationError(
            f"the OSS region is {region}", hint=f"write {region.removeprefix('oss-')}"
        )
    named = _region_of(endpoint)
    if region and named and region != named:
        raise ConfigurationError(
            f"the OSS region is {region} but the endpoint lies in {named}",
            hint="give one of the two, or two that agree",
        )
    region = region or named
    if not _REGION.fullmatch(region):
        raise ConfigurationError(
            f"not an OSS region: {region!r}" if region else "no OSS region is set",
            hint="set OSS_REGION, for example to ap-southeast-1",
        )
    return region


def oss_access(
    access_key_id: str,
    access_key_secret: str,
    *,
    security_token: str = "",
    region: str = "",
    endpoint: str = "",
) -> OssAccess:
    """Check the plain values and fill in what follows from the others.

    Either `region` or `endpoint` may be empty. Raises `ConfigurationError`.
    """
    keys = (access_key_id, access_key_secret)
    if not all(keys):
        raise ConfigurationError(
            "no OSS access key",
            hint="set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET",
        )
    if any(re.search(r"[^!-~]", key) for key in (*keys, security_token)):
        raise ConfigurationError("an OSS key has a space or an unprintable character")
    if not endpoint:
        region = _checked_region(region, "")
        endpoint = f"https://oss-{region}.aliyuncs.com"
    endpoint = _checked_endpoint(endpoint)
    region = _checked_region(region, endpoint)
    return OssAccess(*keys, security_token, region, endpoint)
