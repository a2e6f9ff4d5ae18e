from __future__ import annotations

from collections.abc import Iterator

import pytest

from preflight.oss.access import OssAccess, oss_access
from preflight.oss.client import BucketClient
from preflight.oss.retry import Retry
from preflight.sandbox import Sandbox


@pytest.fixture
def access(sandbox: Sandbox) -> OssAccess:
    """The sandbox's keys and endpoint."""
    return oss_access(
        sandbox.access_key_id,
        sandbox.access_key_secret,
        region=sandbox.region,
        endpoint=sandbox.oss_url,
    )


@pytest.fixture
def client(sandbox: Sandbox, access: OssAccess) -> Iterator[BucketClient]:
    """The sandbox's bucket; retries do not wait."""
    retry = Retry(sleep=lambda _: None)
    with BucketClient(access, sandbox.bucket, timeout=(5, 5), retry=retry) as made:
        yield made
