"""Addresses and regions as people write them: put right, checked, at one place."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from preflight.catalog import endpoints, regions
from preflight.catalog.endpoints import is_loopback
from preflight.language import say


def _url_problem(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return say("{name} is not a URL", name=name)
    # The value itself is not shown: it may hold a password.
    if parts.username or parts.password or parts.query or parts.fragment:
        return say(
            "{name} may hold no user name, password, query or fragment", name=name
        )
    if not complete or re.search(r"[\s{}<>$\\\"']", url):
        return say("{name} is not a complete URL: {url!r}", name=name, url=url)
    if ":" in (parts.hostname or ""):
        # oss2 takes none, not even that of this machine; one rule for all addresses.
        return say(
            "{name} may be no IPv6 address: write a name, or 127.0.0.1 for loopback",
            name=name,
        )
    secure = parts.scheme == "https"
    if not secure and not (parts.scheme == "http" and is_loopback(url)):
        return say(
            "{name} must begin with https:// (only loopback may be http): {url!r}",
            name=name,
            url=url,
        )
    return ""


def endpoint_problem(name: str, url: str) -> str:
    """What is wrong with an OSS endpoint, or ""."""
    if problem := _url_problem(name, url):
        return problem
    if found := endpoints.bucket_in_endpoint(url):
        bucket, host = found
        # oss2 would put the bucket before it a second time.
        return say(
            "{name} has the bucket {bucket!r} in it: set https://{host}",
            name=name,
            bucket=bucket,
            host=host,
        )
    if urlsplit(url).path:
        return say("{name} may hold no path: {url!r}", name=name, url=url)
    return ""


def base_url_problem(name: str, url: str) -> str:
    """What is wrong with a Model Studio base URL, or ""."""
    if problem := _url_problem(name, url):
        return problem
    if regions.region_of_base_url(url) and urlsplit(url).path != "/api/v1":
        return say(
            "{name} must end in /api/v1, where the import API is: {url!r}",
            name=name,
            url=url,
        )
    return ""


def region_problem(name: str, region: str) -> str:
    """What is wrong with a region id, or ""."""
    if re.fullmatch(r"[a-z]{2,}(?:-[a-z0-9]+)+", region):
        return ""
    return say(
        "{name} is not a region id such as ap-southeast-1: {region!r}",
        name=name,
        region=region,
    )


def tidy_region(value: str) -> str:
    """`oss-ap-southeast-1` and `Singapore` are ap-southeast-1."""
    region = value.strip().lower().removeprefix("oss-")
    named = regions.find_region(region)
    return named.id if named else region


def tidy_endpoint(value: str) -> str:
    """A bare host gets its scheme: oss2 would take it for plain http."""
    url = value.strip()
    if url and "://" not in url:
        url = f"http://{url}" if is_loopback(f"http://{url}") else f"https://{url}"
    return _plain_host(url.rstrip("/"))


def _plain_host(url: str) -> str:
    """Scheme in lower case, and no dot behind the host, which no certificate has."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    host = re.sub(r"\.(:\d+)?$", r"\1", host)
    return f"{scheme.lower()}{separator}{host}{slash}{path}" if separator else url


def tidy_base_url(value: str) -> str:
    """A bare host gets its scheme and the API's path."""
    url = tidy_endpoint(value)
    bare = "/" not in url.partition("://")[2]
    return f"{url}/api/v1" if url and bare else url


def upgrade_endpoint(value: str) -> str:
    """The example in ossutil's manual is http; OSS answers on https as well."""
    return re.sub(r"^http://(?=[^/:@]+\.aliyuncs\.com)", "https://", value)
