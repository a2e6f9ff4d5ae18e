"""Keys, region and endpoint of OSS as one value; it never shows a secret."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from preflight.catalog.endpoints import EndpointKind, read_endpoint
from preflight.hidden import masked, without
from preflight.language import altered

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
    """How to reach OSS: values that were checked where the settings are read.

    `endpoint` is a URL without a path, https unless it is this machine; `region` is
    the one that requests are signed for.
    """

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False, kw_only=True)
    region: str = field(kw_only=True)
    endpoint: str = field(kw_only=True)

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
        return self.kind is EndpointKind.LOOPBACK

    @property
    def kind(self) -> EndpointKind:
        """How the endpoint is reached; a custom domain stands for one bucket."""
        return read_endpoint(self.endpoint).kind

    @property
    def host(self) -> str:
        """The endpoint's host name, for messages."""
        return urlsplit(self.endpoint).hostname or ""

    def mask(self, text: str) -> str:
        """`text` without keys, tokens, signatures and passwords in URLs."""
        # The id, too: OSS repeats it in its errors, and people paste those.
        keys = (self.access_key_secret, self.security_token, self.access_key_id)
        return altered(masked(without(text, *keys)), _without_signatures)


def _without_signatures(text: str) -> str:
    return _USER_IN_URL.sub(r"\1***@", _SECRETS_IN_TEXT.sub(r"\1***", text))
