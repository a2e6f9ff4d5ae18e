from __future__ import annotations

from preflight.oss.access import OssAccess


def test_neither_repr_nor_masked_text_shows_a_secret() -> None:
    found = OssAccess(
        "LTAIexample",
        "sEcReT",
        security_token="tOkEn",
        region="cn-beijing",
        endpoint="https://oss-cn-beijing.aliyuncs.com",
    )
    text = (
        "LTAIexample sEcReT tOkEn https://user:pw@proxy/?x-oss-signature=abc123&a=1 "
        "Signature=def456, Credential=LTAIother/2026"
    )
    masked = found.mask(text)
    hidden = ("LTAIexample", "sEcReT", "tOkEn", "pw", "abc123", "def456", "LTAIother")
    for word in hidden:
        assert word not in masked
        assert word not in repr(found)
    assert "a=1" in masked
    assert found.host == "oss-cn-beijing.aliyuncs.com"
    assert not found.is_local


def test_loopback_is_local_however_it_is_written() -> None:
    for host in ("127.0.0.1:9000", "localhost:9000", "[::1]:9000"):
        access = OssAccess("id", "s", region="cn-beijing", endpoint=f"http://{host}")
        assert access.is_local
