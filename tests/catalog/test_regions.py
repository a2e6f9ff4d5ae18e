from __future__ import annotations

from urllib.parse import urlsplit

from preflight.catalog.endpoints import region_of_endpoint
from preflight.catalog.regions import (
    REGIONS,
    Site,
    find_region,
    import_regions,
    region_of_base_url,
)
from tests.cases import case


def test_every_region_is_complete_and_known_by_its_urls() -> None:
    assert len({region.id for region in REGIONS}) == len(REGIONS)
    for region in REGIONS:
        assert region.source
        assert urlsplit(region.base_url).scheme == "https"
        assert region.base_url.endswith(".aliyuncs.com/api/v1")
        assert region_of_base_url(region.base_url) == region.id
        assert region_of_endpoint(region.public_endpoint) == region.id
        assert region_of_endpoint(region.internal_endpoint) == region.id
        assert find_region(region.id) is region
        assert find_region(region.name.upper()) is region


def test_imports_by_api_are_open_once_on_each_site() -> None:
    found = {region.site: region.id for region in import_regions()}
    assert len(import_regions()) == 2
    assert found == {Site.INTERNATIONAL: "ap-southeast-1", Site.CHINA: "cn-beijing"}


def test_a_region_that_is_none() -> None:
    assert find_region("") is None
    assert find_region("cn-atlantis") is None


def test_the_region_of_a_base_url() -> None:
    cases: list[tuple[str, str]] = [
        ("https://ws-1.ap-southeast-1.maas.aliyuncs.com/api/v1", "ap-southeast-1"),
        ("https://ws-1.eu-central-1.maas.aliyuncs.com/api/v1", "eu-central-1"),
        ("https://dashscope.aliyuncs.com.example.com/api/v1", ""),
        ("https://a.b.c.maas.aliyuncs.com/api/v1", ""),
        ("http://127.0.0.1:1/api/v1", ""),
    ]
    for base_url, region in cases:
        with case(base_url, region):
            assert region_of_base_url(base_url) == region
