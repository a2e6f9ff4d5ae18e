from __future__ import annotations

from preflight.catalog.endpoints import (
    EndpointKind,
    bucket_in_endpoint,
    internal_endpoint,
    is_loopback,
    public_endpoint,
    read_endpoint,
    region_of_endpoint,
)
from tests.cases import case

LINK = "ep-bp1abc0123.oss.cn-beijing.privatelink"


def test_each_kind_of_the_vendor_s_endpoints() -> None:
    cases: list[tuple[str, EndpointKind, str]] = [
        ("oss-cn-hangzhou", EndpointKind.PUBLIC, "cn-hangzhou"),
        ("oss-me-central-1", EndpointKind.PUBLIC, "me-central-1"),
        ("OSS-AP-SOUTHEAST-1", EndpointKind.PUBLIC, "ap-southeast-1"),
        ("oss-cn-shenzhen-finance-1", EndpointKind.PUBLIC, "cn-shenzhen-finance-1"),
        ("oss-cn-hangzhou-internal", EndpointKind.INTERNAL, "cn-hangzhou"),
        ("cn-beijing.oss", EndpointKind.DUAL_STACK, "cn-beijing"),
        ("vpc100-oss-cn-beijing", EndpointKind.VPC, "cn-beijing"),
        (LINK, EndpointKind.PRIVATE_LINK, "cn-beijing"),
        ("oss-accelerate", EndpointKind.ACCELERATE, ""),
        ("oss-accelerate-overseas", EndpointKind.ACCELERATE, ""),
        ("something-new", EndpointKind.UNKNOWN, ""),
        ("bucket.oss-cn-hangzhou", EndpointKind.UNKNOWN, ""),
    ]
    for host, kind, region in cases:
        with case(host, kind, region):
            for url in (
                f"https://{host}.aliyuncs.com",
                f"https://{host}.aliyuncs.com:443",
            ):
                found = read_endpoint(url)
                assert (found.kind, found.region) == (kind, region)
            other = read_endpoint(f"https://{host}.aliyuncs.com.example.com")
            assert (other.kind, other.region) == (EndpointKind.CUSTOM_DOMAIN, "")


def test_an_endpoint_that_is_made_is_read_again() -> None:
    for make in (public_endpoint, internal_endpoint):
        assert region_of_endpoint(make("us-east-1")) == "us-east-1"


def test_this_machine_under_each_of_its_names() -> None:
    for host in ("127.0.0.1:1/x", "127.9.9.9", "[::1]:80", "localhost"):
        assert is_loopback(f"http://{host}")
        assert read_endpoint(f"http://{host}").kind is EndpointKind.LOOPBACK
    for host in ("localhost.example.com", "10.0.0.1", "127.0.0.1.example.com", "[::1"):
        assert not is_loopback(f"http://{host}")
    assert not is_loopback("")
    assert read_endpoint("http://[::1").kind is EndpointKind.UNKNOWN


def test_a_bucket_s_own_domain_is_seen() -> None:
    for host in ("oss-cn-beijing.aliyuncs.com", "cn-beijing.oss.aliyuncs.com"):
        found = bucket_in_endpoint(f"https://my-bucket.{host}")
        assert found == ("my-bucket", host)
        assert bucket_in_endpoint(f"https://{host}") is None
    assert bucket_in_endpoint(f"https://{LINK}.aliyuncs.com") is None
    assert bucket_in_endpoint("https://files.example.com") is None
