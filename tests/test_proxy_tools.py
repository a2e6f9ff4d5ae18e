"""The proxies of the tests and https of the sandbox, with the real clients."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import oss2
import pytest
import requests

from preflight.sandbox import Sandbox
from tests.proxies import proxy

CRC = "x-oss-hash-crc64ecma"


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(directory=tmp_path_factory.mktemp("box") / "state", tls=True) as box:
        yield box
        box.check()


@pytest.fixture(scope="module")
def http() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box
        box.check()


def bucket_of(box: Sandbox, through: str = "") -> oss2.Bucket:
    auth = oss2.AuthV4(box.access_key_id, box.access_key_secret)
    session = oss2.Session()
    session.session.trust_env = False  # which would win over what is set here
    session.session.verify = str(box.ca_file or "")
    return oss2.Bucket(
        auth,
        box.oss_url,
        box.bucket,
        region=box.region,
        session=session,
        proxies={"http": through, "https": through} if through else None,
    )


def test_https_of_both_services(https: Sandbox) -> None:
    assert https.oss_url.startswith("https://127.0.0.1:")
    assert https.environment()["REQUESTS_CA_BUNDLE"] == str(https.ca_file)
    data = os.urandom(1 << 20)
    bucket = bucket_of(https)
    bucket.put_object("k", data)
    assert bucket.get_object("k").read() == data
    url = f"{https.studio_url}/custom_models/import"
    headers = {"Authorization": f"Bearer {https.api_key}"}
    trusted = str(https.ca_file)
    got = requests.get(url, headers=headers, verify=trusted, timeout=10)
    assert got.json()["output"]["total"] == 0
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url, headers=headers, timeout=10)
    by_name = url.replace("127.0.0.1", "localhost")
    assert requests.get(by_name, verify=trusted, timeout=10).status_code == 401
    with pytest.raises(requests.ConnectionError):  # plain http is not answered
        requests.get(url.replace("https", "http", 1), timeout=10)


def test_the_authority_is_kept_with_the_state(tmp_path: Path) -> None:
    with Sandbox(directory=tmp_path, tls=True) as box:
        assert box.ca_file is not None
        first = box.ca_file.read_bytes()
        assert stat.S_IMODE((box.ca_file.parent / "server.pem").stat().st_mode) == 0o600
    with Sandbox(directory=tmp_path, tls=True) as box:
        assert box.ca_file is not None
        assert box.ca_file.read_bytes() == first


@pytest.mark.parametrize("kind", ["http", "https"])
def test_a_proxy_forwards(kind: str, request: pytest.FixtureRequest) -> None:
    box: Sandbox = request.getfixturevalue(kind)
    data = os.urandom(3 << 20)
    with proxy() as through:
        bucket = bucket_of(box, through.url)
        bucket.put_object("through", data)
        assert bucket.get_object("through").read() == data
    method = "CONNECT" if kind == "https" else "PUT"
    assert through.requests[0].startswith(f"{method} ")


@pytest.mark.parametrize("kind", ["http", "https"])
def test_a_proxy_with_a_login(kind: str, request: pytest.FixtureRequest) -> None:
    box: Sandbox = request.getfixturevalue(kind)
    with proxy(login=("us er", "p@ss:#/word")) as through:
        assert bucket_of(box, through.url_with_login).put_object("k", b"x").crc
        if kind == "http":
            with pytest.raises(oss2.exceptions.ServerError) as caught:
                bucket_of(box, through.url).put_object("k", b"x")
            assert caught.value.status == 407
        else:
            with pytest.raises(oss2.exceptions.RequestError, match="407"):
                bucket_of(box, through.url).put_object("k", b"x")


def test_a_proxy_that_strips_a_header(http: Sandbox) -> None:
    assert bucket_of(http).put_object("k", b"x").headers.get(CRC)
    with proxy(strips=[CRC]) as through:
        got = bucket_of(http, through.url).put_object("k", b"x")
    assert CRC not in got.headers
    assert got.etag


def test_a_proxy_that_vanishes_and_comes_back(http: Sandbox) -> None:
    with proxy() as through:
        bucket = bucket_of(http, through.url)
        bucket.put_object("k", b"x")
        through.vanish()
        with pytest.raises(oss2.exceptions.RequestError):
            bucket.put_object("k", b"y")
        through.appear()
        bucket.put_object("k", b"z")
    assert bucket_of(http).get_object("k").read() == b"z"


def test_a_server_that_is_not_there_is_502() -> None:
    with proxy() as through, Sandbox() as gone:
        url = gone.oss_url
        gone.close()
        got = requests.get(url, proxies={"http": through.url}, timeout=10)
        assert got.status_code == 502
