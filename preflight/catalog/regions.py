"""Regions: OSS endpoints, Model Studio base URLs, and where imports go by API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from preflight.catalog import endpoints

_BASE_URLS = "Model Studio docs, Base URL overview, 2026-10-11"
_IMPORT_API = "Model Studio docs, Custom model object, 2026-06-06"
# The documentation of each site names its own region alone for the import API.
_CHINA_API = "Model Studio docs of the China site, Create an import job, 2026-10"


class Site(str, Enum):
    """The two sites of the vendor; an account belongs to one of them."""

    INTERNATIONAL = "international"
    CHINA = "china"


@dataclass(frozen=True, slots=True)
class Region:
    """One region of Model Studio.

    `base_url` is that of the shared DashScope domain; `import_api` whether import
    jobs can be made by API there: elsewhere only the console imports.
    """

    id: str
    name: str
    site: Site
    base_url: str
    import_api: bool
    source: str

    @property
    def public_endpoint(self) -> str:
        """The OSS endpoint reached from anywhere."""
        return endpoints.public_endpoint(self.id)

    @property
    def internal_endpoint(self) -> str:
        """The OSS endpoint for machines in the same region: no traffic fee."""
        return endpoints.internal_endpoint(self.id)


REGIONS = (
    Region(
        "ap-southeast-1",
        "Singapore",
        Site.INTERNATIONAL,
        "https://dashscope-intl.aliyuncs.com/api/v1",
        import_api=True,
        source=f"{_BASE_URLS}; {_IMPORT_API}",
    ),
    Region(
        "cn-beijing",
        "China (Beijing)",
        Site.CHINA,
        "https://dashscope.aliyuncs.com/api/v1",
        import_api=True,
        source=f"{_BASE_URLS}; {_CHINA_API}",
    ),
    Region(
        "us-east-1",
        "US (Virginia)",
        Site.INTERNATIONAL,
        "https://dashscope-us.aliyuncs.com/api/v1",
        import_api=False,
        source=f"{_BASE_URLS}; {_IMPORT_API}",
    ),
    Region(
        "cn-hongkong",
        "China (Hong Kong)",
        Site.INTERNATIONAL,
        "https://cn-hongkong.dashscope.aliyuncs.com/api/v1",
        import_api=False,
        source=f"{_BASE_URLS}; {_IMPORT_API}",
    ),
)

_CONSOLES = {
    # Model Studio docs of the China site, pages on deployment and billing, 2026.
    Site.CHINA: "https://bailian.console.aliyun.com/?tab=model#/efm/model_deploy",
    # Of the international console no page of its own is documented.
    Site.INTERNATIONAL: "https://modelstudio.console.alibabacloud.com/",
}
_WORKSPACE_DOMAIN = re.compile(
    r"(?P<workspace>[a-z0-9-]+)\.(?P<region>[a-z0-9-]+)\.maas\.aliyuncs\.com"
)


def find_region(region_id: str) -> Region | None:
    """The Model Studio region with this id or English name, if there is one."""
    wanted = region_id.casefold()
    named = (r for r in REGIONS if wanted in (r.id, r.name.casefold()))
    return next(named, None)


def import_regions() -> tuple[Region, ...]:
    """The regions where import jobs can be made by API."""
    return tuple(region for region in REGIONS if region.import_api)


def region_of_base_url(base_url: str) -> str:
    """The region id behind a Model Studio base URL, or "" where it is unknown."""
    host = urlsplit(base_url).hostname or ""
    shared = {urlsplit(region.base_url).hostname: region.id for region in REGIONS}
    if host in shared:
        return shared[host]
    found = _WORKSPACE_DOMAIN.fullmatch(host)
    return found["region"] if found else ""


def console_of_base_url(base_url: str) -> str:
    """Where the console's deployments are; unknown regions are international."""
    region = find_region(region_of_base_url(base_url))
    return _CONSOLES[region.site if region else Site.INTERNATIONAL]
