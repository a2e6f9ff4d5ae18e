"""The kinds of OSS endpoints: which region each is of, and from where it is reached.

OSS docs, "Regions and endpoints", read 2026-11-26:
https://www.alibabacloud.com/help/en/oss/user-guide/regions-and-endpoints
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from preflight.language import say


class EndpointKind(str, Enum):
    """How an endpoint is reached, and by what name."""

    PUBLIC = "public"
    INTERNAL = "internal"
    DUAL_STACK = "dual-stack"
    VPC = "VPC"
    PRIVATE_LINK = "PrivateLink"
    ACCELERATE = "transfer acceleration"
    CUSTOM_DOMAIN = "custom domain"
    LOOPBACK = "this machine"
    UNKNOWN = "unknown"

    @property
    def word(self) -> str:
        """What people are told of it."""
        return _WORDS.get(self, self.value)


_WORDS = {
    EndpointKind.PUBLIC: say("public"),
    EndpointKind.INTERNAL: say("internal"),
    EndpointKind.DUAL_STACK: say("dual-stack"),
    EndpointKind.ACCELERATE: say("transfer acceleration"),
    EndpointKind.CUSTOM_DOMAIN: say("custom domain"),
    EndpointKind.LOOPBACK: say("this machine"),
    EndpointKind.UNKNOWN: say("unknown"),
}

# From outside the region's own network nothing answers there, not even a refusal.
PRIVATE = {EndpointKind.INTERNAL, EndpointKind.VPC, EndpointKind.PRIVATE_LINK}

_REGION = r"(?P<region>[a-z]{2,}(?:-[a-z0-9]+)+?)"
_FORMS = (
    (EndpointKind.ACCELERATE, r"oss-accelerate(-overseas)?"),
    (EndpointKind.INTERNAL, rf"oss-{_REGION}-internal"),
    (EndpointKind.PUBLIC, rf"oss-{_REGION}"),
    (EndpointKind.VPC, rf"vpc100-oss-{_REGION}"),
    (EndpointKind.DUAL_STACK, rf"{_REGION}\.oss"),
    (EndpointKind.PRIVATE_LINK, rf"ep-[a-z0-9-]+\.oss\.{_REGION}\.privatelink"),
)
_VENDOR = r"\.aliyuncs\.com"
_PATTERNS = tuple((kind, re.compile(form + _VENDOR)) for kind, form in _FORMS)
_BUCKET_DOMAIN = re.compile(r"(?P<bucket>[a-z0-9-]+)\.(?P<endpoint>.+)")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What the host name of an endpoint tells; `region` is "" where it names none."""

    kind: EndpointKind
    region: str = ""


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine, so that plain http is no leak."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_endpoint(url: str) -> Endpoint:
    """Kind and region of an endpoint's URL.

    A host that is not the vendor's is a custom domain (CNAME), bound to one bucket.
    """
    if is_loopback(url):
        return Endpoint(EndpointKind.LOOPBACK)
    host = _host(url)
    if found := _read_host(host):
        return found
    vendor = host.endswith(".aliyuncs.com") or not host
    return Endpoint(EndpointKind.UNKNOWN if vendor else EndpointKind.CUSTOM_DOMAIN)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _read_host(host: str) -> Endpoint | None:
    for kind, pattern in _PATTERNS:
        if found := pattern.fullmatch(host):
            return Endpoint(kind, found.groupdict().get("region") or "")
    return None


def public_endpoint(region_id: str) -> str:
    """The public endpoint of any region, known to Model Studio or not."""
    return f"https://oss-{region_id}.aliyuncs.com"


def internal_endpoint(region_id: str) -> str:
    """The endpoint for machines in the same region: no traffic fee."""
    return f"https://oss-{region_id}-internal.aliyuncs.com"


def region_of_endpoint(endpoint: str) -> str:
    """The region id that an endpoint's URL names, or "" where it names none."""
    return read_endpoint(endpoint).region


def bucket_in_endpoint(endpoint: str) -> tuple[str, str] | None:
    """(bucket, endpoint host) when a bucket's own domain was given as the endpoint."""
    host = _host(endpoint)
    found = _BUCKET_DOMAIN.fullmatch(host)
    if _read_host(host) or not found or not _read_host(found["endpoint"]):
        return None
    return found["bucket"], found["endpoint"]
