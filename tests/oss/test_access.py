from __future__ import annotations

import pytest

from preflight.errors import ConfigurationError
from preflight.oss.access import OssAccess, oss_access


def access(*, region: str = "", endpoint: str = "", token: str = "") -> OssAccess:
    return oss_access(
        "LTAIexample", "sEcReT", security_token=token, region=region, endpoint=endpoint
    )


@pytest.mark.parametrize(
    ("region", "endpoint", "expected_region", "expected_endpoint"),
    [
        (
            "ap-southeast-1",
            "",
            "ap-southeast-1",
            "https://oss-ap-southeast-1.aliyuncs.com",
        ),
        (
            "",
            "oss-cn-beijing.aliyuncs.com",
            "cn-beijing",
            "https://oss-cn-beijing.aliyuncs.com",
        ),
        (
            "",
            "https://oss-cn-beijing-internal.aliyuncs.com/",
            "cn-beijing",
            "https://oss-cn-beijing-internal.aliyuncs.com",
        ),
        (
            "ap-southeast-1",
            "oss-accelerate.aliyuncs.com",
            "ap-southeast-1",
            "https://oss-accelerate.aliyuncs.com",
        ),
        (
            "cn-beijing",
            "https://oss.example:8443",
            "cn-beijing",
            "https://oss.example:8443",
        ),
        ("cn-beijing", "http://127.0.0.1:9000", "cn-beijing", "http://127.0.0.1:9000"),
        ("cn-beijing", "http://localhost:9000", "cn-beijing", "http://localhost:9000"),
    ],
)
def test_region_and_endpoint_complete_each_other(
    region: str, endpoint: str, expected_region: str, expected_endpoint: str
) -> None:
    found = access(region=region, endpoint=endpoint)
    assert (found.region, found.endpoint) == (expected_region, expected_endpoint)


@pytest.mark.parametrize(
    ("region", "endpoint", "words"),
    [
        ("", "", "no OSS region"),
        ("", "oss-accelerate.aliyuncs.com", "no OSS region"),
        ("", "http://127.0.0.1:9000", "no OSS region"),
        ("oss-cn-beijing", "", "OSS region is oss-cn-beijing"),
        ("cn beijing", "", "not an OSS region"),
        ("cn-beijing", "oss-ap-southeast-1.aliyuncs.com", "lies in ap-southeast-1"),
        ("cn-beijing", "http://oss-cn-beijing.aliyuncs.com", "must be https"),
        ("cn-beijing", "http://127.0.0.1.evil.example", "must be https"),
        ("cn-beijing", "ftp://127.0.0.1", "must be https"),
        (
            "cn-beijing",
            "https://bkt.oss-cn-beijing.aliyuncs.com",
            "names a bucket: bkt",
        ),
        ("cn-beijing", "https://oss-cn-beijing.aliyuncs.com/bkt", "not a host name"),
        ("cn-beijing", "https://a:b@oss-cn-beijing.aliyuncs.com", "not a host name"),
        ("cn-beijing", "https://oss-cn-beijing.aliyuncs.com?x=1", "not a host name"),
        ("cn-beijing", "https://oss-cn-beijing.aliyuncs.com:99999", "Port"),
        ("cn-beijing", "https://", "not a host name"),
    ],
)
def test_what_would_fail_later_is_refused_now(
    region: str, endpoint: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        access(region=region, endpoint=endpoint)
    assert "a:b" not in caught.value.message


@pytest.mark.parametrize("keys", [("", "x"), ("x", ""), ("x", "y\n"), ("a b", "y")])
def test_unusable_keys_are_refused_without_being_shown(keys: tuple[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"OSS (access )?key"):
        oss_access(*keys, region="cn-beijing")


def test_neither_repr_nor_masked_text_shows_a_secret() -> None:
    found = access(region="cn-beijing", token="tOkEn")
    text = (
        "LTAIexample sEcReT tOkEn https://user:pw@proxy/?x-oss-signature=abc123&a=1 "
        "Signature=def456, Credential=LTAIother/2026"
    )
    masked = found.mask(text)
    for word in (
        "LTAIexample",
        "sEcReT",
        "tOkEn",
        "pw",
        "abc123",
        "def456",
        "LTAIother",
    ):
        assert word not in masked
        assert word not in repr(found)
    assert "a=1" in masked
