"""Keys that end and clocks that are off, in the middle of an upload."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from oss2 import ProviderAuthV4
from oss2.credentials import Credentials
from oss2.http import Request

from preflight.errors import AccessDenied
from preflight.oss.access import OssAccess, OssKeys
from preflight.oss.client import BucketClient
from preflight.oss.signing import SigningKeys, signer
from preflight.retry import Retry
from preflight.sandbox import Sandbox
from preflight.sandbox.oss.credentials import Credential
from tests.manual_clock import ManualClock
from tests.upload.small_model import fault, is_all_there, make_model, send

ROOT = Path(__file__).parents[2]
QUICK = Retry(clock=ManualClock())


@pytest.fixture
def client_of(
    sandbox: Sandbox, access: OssAccess
) -> Iterator[Callable[[list[OssKeys]], BucketClient]]:
    """A client that is given the keys of a list, one after the other."""
    made: list[BucketClient] = []

    def build(keys: list[OssKeys]) -> BucketClient:
        first = access.with_keys(keys.pop(0))
        source = lambda: keys.pop(0)  # noqa: E731
        client = BucketClient(first, sandbox.bucket, retry=QUICK, credentials=source)
        made.append(client)
        return client

    yield build
    for client in made:
        client.close()


def temporary(box: Sandbox, number: int) -> OssKeys:
    """Temporary keys that the sandbox accepts."""
    keys = OssKeys(f"STS.{number}", f"secret{number}", f"token{number}")
    credential = Credential(
        keys.access_key_id, keys.access_key_secret, token=keys.security_token
    )
    box.oss.add_credential(credential)
    return keys


def test_keys_that_end_are_replaced_as_often_as_they_end(
    sandbox: Sandbox,
    tmp_path: Path,
    client_of: Callable[[list[OssKeys]], BucketClient],
) -> None:
    keys = [temporary(sandbox, number) for number in range(3)]
    client = client_of(keys)
    for number in (2, 5):
        sandbox.faults.add(fault("UploadPart", "expire_token", nth=number))
    root = make_model(tmp_path / "model")
    send(root, sandbox, client)
    assert is_all_there(root, sandbox)
    assert keys == []
    assert client.access.mask("secret2 token2") == "*** ***"


def test_fresh_keys_that_are_ended_too_are_an_error_that_keeps_the_parts(
    sandbox: Sandbox,
    tmp_path: Path,
    client_of: Callable[[list[OssKeys]], BucketClient],
) -> None:
    keys = temporary(sandbox, 0)
    client = client_of([keys, keys])
    sandbox.faults.add(fault("UploadPart", "expire_token", nth=4))
    root = make_model(tmp_path / "model")
    with pytest.raises(AccessDenied, match="SecurityTokenExpired") as caught:
        send(root, sandbox, client)
    assert "the same command" in caught.value.hint
    assert sandbox.oss.uploads(sandbox.bucket)


def test_threads_that_find_the_keys_ended_read_them_once() -> None:
    asked: list[int] = []

    def source() -> OssKeys:
        asked.append(1)
        return OssKeys("new", "s")

    ring = SigningKeys(OssKeys("old", "s"), source)
    assert ring.refresh(OssKeys("old", "s"))
    assert ring.refresh(OssKeys("old", "s"))
    assert len(asked) == 1
    assert ring.keys.access_key_id == "new"
    assert not SigningKeys(OssKeys("old", "s")).refresh(OssKeys("old", "s"))


@pytest.mark.parametrize(
    ("ahead", "token"),
    [(-5000.0, False), (0.0, True), (5000.0, True), (90_000.0, False)],
)
def test_a_clock_that_is_off_is_corrected(
    tmp_path: Path, ahead: float, token: bool
) -> None:
    with Sandbox(clock=lambda: time.time() + ahead) as box:
        access = OssAccess(
            box.access_key_id,
            box.access_key_secret,
            region=box.region,
            endpoint=box.oss_url,
        )
        if token:
            access = access.with_keys(temporary(box, 1))
        with BucketClient(access, box.bucket, retry=QUICK) as client:
            root = make_model(tmp_path / "model")
            send(root, box, client)
            assert is_all_there(root, box)
        skewed = [c for c in box.oss_endpoint.log_calls.last() if c.status == 403]
        assert len(skewed) <= 2  # the first request, and one that passed it by
        assert bool(skewed) is (abs(ahead) > 900)
        box.check()


def test_keys_are_not_shown(access: OssAccess) -> None:
    assert access.access_key_secret not in repr(access.keys)
    assert replace(access, region="x").with_keys(access.keys).region == "x"


class TurningRing(SigningKeys):
    """Its keys are others each time they are asked for, as a refresh may do."""

    def __init__(self) -> None:
        super().__init__(OssKeys("", ""))
        self.asked = 0

    def get_credentials(self) -> Credentials:
        self.asked += 1
        return Credentials(f"id{self.asked}", "secret", f"token{self.asked}")


@pytest.mark.parametrize("ahead", [0.0, 3600.0])
def test_a_key_is_never_sent_with_the_token_of_another(ahead: float) -> None:
    ring = TurningRing()
    ring.ahead = ahead
    request = Request("GET", "http://localhost/b/k", region="cn-beijing", product="oss")
    signer(ring)._sign_request(request, "b", "k")
    number = request.headers["x-oss-security-token"].removeprefix("token")
    assert f"Credential=id{number}/" in request.headers["authorization"]


def test_this_release_of_oss2_is_one_that_we_can_correct() -> None:
    """The correction overrides and calls what oss2 does not promise to keep."""
    ring = SigningKeys(OssKeys("id", "secret", "token"))
    mine = signer(ring)
    theirs: dict[str, str] = {}
    ours: dict[str, str] = {}
    while theirs.get("x-oss-date") != ours.get("x-oss-date") or not ours:
        ring.ahead = 0.0
        theirs = signed(mine)
        ring.ahead = 1e-9  # the same second, most of the time
        ours = signed(mine)
    assert ours == theirs
    assert ours["authorization"].startswith("OSS4-HMAC-SHA256 Credential=id/")
    assert version("oss2").startswith("2.19."), "look whether it still fits"
    assert '"oss2>=2.19.1,<2.20"' in (ROOT / "pyproject.toml").read_text("utf-8")


def signed(auth: ProviderAuthV4) -> dict[str, str]:
    """The headers of a request that oss2 would send."""
    request = Request("GET", "http://localhost/b/k", region="cn-beijing", product="oss")
    auth._sign_request(request, "b", "k")
    return dict(request.headers)
