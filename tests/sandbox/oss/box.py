"""The fake OSS as the tests hold it: state, endpoint, plan, and clients for it."""

from __future__ import annotations

import hashlib
import socket
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import oss2
import pytest
import requests

from preflight.sandbox.faults import FaultPlan
from preflight.sandbox.oss import Credential, OssRoutes, OssState
from preflight.sandbox.server import Endpoint

BUCKET = "sandbox-bucket"
KEY_ID = "LTAI5tSandboxKey"
SECRET = "sandbox-secret"
REGION = "ap-southeast-1"
PART = 100 << 10  # bytes: the smallest part but the last


class Clock:
    """The service's clock; `ahead` is how many seconds it is before ours."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Box:
    state: OssState
    endpoint: Endpoint
    plan: FaultPlan
    clock: Clock
    http: requests.Session = field(default_factory=requests.Session)
    _sessions: list[requests.Session] = field(default_factory=list)

    def client(
        self,
        *,
        v1: bool = False,
        key_id: str = KEY_ID,
        secret: str = SECRET,
        token: str | None = None,
        region: str = REGION,
        bucket: str = BUCKET,
    ) -> oss2.Bucket:
        """The real SDK, pointed at the fake."""
        version = oss2.AUTH_VERSION_1 if v1 else oss2.AUTH_VERSION_4
        if token is None:
            auth = oss2.make_auth(key_id, secret, version)
        else:
            auth = oss2.StsAuth(key_id, secret, token, version)
        session = oss2.Session()
        self._sessions.append(session.session)
        url = self.endpoint.url
        return oss2.Bucket(auth, url, bucket, region=region, session=session)

    def send(
        self,
        method: str,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        bucket: str = BUCKET,
        sign: Callable[[oss2.http.Request], None] | None = None,
    ) -> requests.Response:
        """A signed request with all its details open to the test."""
        url = f"{self.endpoint.url}/{bucket}/{quote(key, safe='')}"
        request = oss2.http.Request(
            method,
            url,
            params=dict(query or {}),
            headers=dict(headers or {}),
            region=REGION,
            product="oss",
        )
        oss2.AuthV4(KEY_ID, SECRET)._sign_request(request, bucket, key)
        if sign is not None:
            sign(request)
        return self.http.request(
            method,
            url,
            params=request.params,
            headers=request.headers,
            data=data,
            timeout=10,
        )

    def raw(
        self,
        method: str,
        key: str,
        *lines: str,
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        half: bool = False,
    ) -> bytes:
        """The answer to signed bytes on a socket; `lines` are more headers.

        With `half` the client closes after the body without reading the answer.
        """
        request = oss2.http.Request(
            method, "", params=dict(query or {}), region=REGION, product="oss"
        )
        oss2.AuthV4(KEY_ID, SECRET)._sign_request(request, BUCKET, key)
        target = f"/{BUCKET}/{quote(key)}?{urlencode(request.params)}"
        signed = [f"{k}: {v}" for k, v in request.headers.items() if v is not None]
        head = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *signed, *lines]
        with socket.create_connection(("127.0.0.1", self.endpoint.port), 10) as peer:
            peer.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode())
            peer.sendall(body)
            if half:
                return b""
            return b"".join(iter(lambda: peer.recv(1 << 16), b""))

    def close(self) -> None:
        self.http.close()
        for session in self._sessions:
            session.close()
        self.endpoint.stop()
        self.state.close()


@contextmanager
def serving(state: OssState, plan: FaultPlan, clock: Clock) -> Iterator[Box]:
    """The state behind an endpoint with one key and one bucket; checked at the end."""
    state.add_credential(Credential(KEY_ID, SECRET))
    state.create_bucket(BUCKET)
    endpoint = Endpoint("oss", OssRoutes(state), faults=plan)
    endpoint.start()
    made = Box(state, endpoint, plan, clock)
    try:
        yield made
    finally:
        made.close()
    endpoint.check()


def parsed(body: bytes) -> ET.Element:
    """The document of an answer."""
    return ET.fromstring(body)  # noqa: S314 - we wrote it


def md5_of(data: bytes) -> bytes:
    """The digest that Content-MD5 and ETags carry."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def code_of(answer: requests.Response) -> str:
    """The error code of an answer; it must have all that OSS's errors have."""
    root = parsed(answer.content)
    assert root.tag == "Error"
    assert root.findtext("RequestId") == answer.headers["x-oss-request-id"]
    assert root.findtext("HostId")
    assert root.findtext("Message")
    return root.findtext("Code") or ""


def refused(
    code: str, status: int, call: Callable[[], object]
) -> oss2.exceptions.OssError:
    """The error of an oss2 call that must be answered with this code and status."""
    with pytest.raises(oss2.exceptions.OssError) as caught:
        call()
    error = caught.value
    assert (error.code, error.status) == (code, status)
    return error
