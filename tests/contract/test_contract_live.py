"""When the contract is spoken with the real services, and what it leaves there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.service import (
    Service,
    missing_for_live,
    sandbox_service,
    wants_live,
)
from tests.contract.signer import Keys

ROOT = Path(__file__).parents[2]
COMPLETE = {
    "OSS_ACCESS_KEY_ID": "LTAI5tSomething",
    "OSS_ACCESS_KEY_SECRET": "secret",
    "OSS_REGION": "ap-southeast-1",
    "PREFLIGHT_LIVE_BUCKET": "scratch",
    "DASHSCOPE_API_KEY": "sk-something",
}


@pytest.mark.parametrize(
    ("changed", "missing"),
    [
        ({}, []),
        ({"OSS_REGION": ""}, ["OSS_REGION", "DASHSCOPE_HTTP_BASE_URL"]),
        ({"OSS_REGION": "eu-central-1"}, ["DASHSCOPE_HTTP_BASE_URL"]),
        (
            {
                "OSS_REGION": "eu-central-1",
                "DASHSCOPE_HTTP_BASE_URL": "https://x.maas.aliyuncs.com/api/v1",
            },
            [],
        ),
        ({"PREFLIGHT_LIVE_BUCKET": ""}, ["PREFLIGHT_LIVE_BUCKET"]),
    ],
)
def test_what_a_live_run_needs(changed: dict[str, str], missing: list[str]) -> None:
    assert missing_for_live({**COMPLETE, **changed}) == missing


@pytest.mark.parametrize(
    ("value", "wanted"), [("1", True), ("0", False), ("", False), ("yes", False)]
)
def test_a_live_run_is_asked_for(value: str, wanted: bool) -> None:
    assert wants_live({"PREFLIGHT_LIVE": value}) is wanted
    assert not wants_live(COMPLETE)


def test_a_live_run_without_keys_is_skipped_and_says_why() -> None:
    """The very thing that `make test-live` runs."""
    words = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    words += ["tests/contract/test_contract_oss.py", "-k", "put-keys or keeps"]
    env = {n: v for n, v in os.environ.items() if n not in COMPLETE}
    env |= {"PREFLIGHT_LIVE": "1", "OSS_REGION": "cn-beijing"}
    done = subprocess.run(
        words,
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "PREFLIGHT_LIVE=1 needs OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET, " in (
        done.stdout
    )
    assert "PREFLIGHT_LIVE_BUCKET, DASHSCOPE_API_KEY" in done.stdout
    assert " passed" not in done.stdout


def test_nothing_is_left_behind() -> None:
    with sandbox_service() as service:
        oss = service.sandbox.oss if service.sandbox else None
        assert oss is not None
        service.send("PUT", f"{service.prefix}k", body=b"x")
        service.send("PUT", "somebody-elses", body=b"x")
        service.send("POST", f"{service.prefix}u", query={"uploads": ""})
        assert len(oss.objects(service.bucket)) == 2
        service.close()
        assert [found.key for found in oss.objects(service.bucket)] == [
            "somebody-elses"
        ]
        assert oss.uploads(service.bucket) == []


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (
            "https://oss-cn-beijing.aliyuncs.com",
            "https://b.oss-cn-beijing.aliyuncs.com",
        ),
        ("http://127.0.0.1:9", "http://127.0.0.1:9/b"),
    ],
)
def test_the_bucket_stands_in_the_host_of_a_named_endpoint(
    endpoint: str, url: str
) -> None:
    keys = Keys("id", "secret", "cn-beijing")
    service = Service(keys, endpoint, "b", "https://dashscope.aliyuncs.com/api/v1", "k")
    assert service.base("b") == url
    service.http.close()
