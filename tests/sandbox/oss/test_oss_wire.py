from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import oss2
import pytest
import requests
from pytest_httpserver import HTTPServerError
from requests.adapters import HTTPAdapter
from werkzeug.wrappers import Request, Response

from preflight.sandbox.faults import FaultPlan
from preflight.sandbox.oss import OssRoutes
from preflight.sandbox.server import Endpoint, RequestRecord, operation
from tests.sandbox.oss.box import BUCKET, PART, Box


def hello(request: Request) -> Response:
    operation(request, "Hello")
    return Response(b"hello")


def connections(box: Box) -> int:
    """How many connections the client has opened so far."""
    adapter = box.http.get_adapter(box.endpoint.url)
    assert isinstance(adapter, HTTPAdapter)
    pools = adapter.poolmanager.pools
    return sum(pools[key].num_connections for key in pools.keys())  # noqa: SIM118


def test_64_connections_at_once(box: Box) -> None:
    """All of them are inside a body at the same moment, and all succeed."""
    together = threading.Barrier(64, timeout=30)
    client = box.client()
    upload_id = client.init_multipart_upload("k").upload_id

    class Waiting:
        """A body of two halves; nobody goes on before everybody has begun."""

        def __init__(self, byte: int) -> None:
            self.left = [bytes([byte]) * (PART // 2)] * 2
            self.len = PART

        def read(self, _: int = -1) -> bytes:
            if len(self.left) == 1:
                together.wait()
            return self.left.pop() if self.left else b""

    def send(number: int) -> oss2.models.PartInfo:
        mine = box.client()
        mine.enable_crc = False
        body = Waiting(number)
        made = mine.upload_part("k", upload_id, number, body)
        return oss2.models.PartInfo(number, made.etag)

    with ThreadPoolExecutor(64) as pool:
        parts = list(pool.map(send, range(1, 65)))
    client.complete_multipart_upload("k", upload_id, parts)
    data = client.get_object("k").read()
    assert data == b"".join(bytes([n]) * PART for n in range(1, 65))


def test_connections_stay_open(box: Box) -> None:
    for _ in range(3):
        answer = box.send("PUT", "k", data=b"x")
        assert "Connection" not in answer.headers
    assert connections(box) == 1


def test_an_error_leaves_the_connection_usable(box: Box) -> None:
    missing = {"uploadId": "none", "partNumber": "1"}
    for _ in range(3):  # the body is not read by the route
        answer = box.send("PUT", "k", query=missing, data=bytes(1 << 20))
        assert answer.status_code == 404
    assert connections(box) == 1


def test_an_abandoned_body_leaves_nothing(box: Box) -> None:
    box.client().put_object("k", b"old")
    box.raw("PUT", "k", "Content-Length: 100", body=b"only this", half=True)
    deadline = time.monotonic() + 10
    while box.endpoint.log_calls.count("PutObject") < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    last = box.endpoint.log_calls.last("PutObject")[-1]
    assert last == RequestRecord("PUT", "PutObject", "k", 0, 9)
    assert box.state.read(BUCKET, "k", 0, 9) == b"old"


def test_a_client_that_falls_silent_is_not_waited_for(box: Box) -> None:
    """It sent the head and a part of the body, and keeps the connection open."""
    endpoint = Endpoint("oss", OssRoutes(box.state), faults=box.plan, patience=0.2)
    endpoint.start()
    answer = replace(box, endpoint=endpoint).raw(
        "PUT", "k", "Content-Length: 100", body=b"only this"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>RequestTimeout</Code>" in answer
    assert b"Connection: close" in answer
    assert box.state.objects(BUCKET) == []
    with socket.create_connection(("127.0.0.1", endpoint.port), 10) as idle:
        assert idle.recv(1) == b""  # nor one that never asks for anything
    endpoint.stop()


def test_the_log_counts(box: Box) -> None:
    client = box.client()
    client.put_object("a", b"12345")
    client.put_object("b", b"1234")
    client.get_bucket_info()
    log = box.endpoint.log_calls
    assert (log.count("PutObject"), log.bytes_received("PutObject")) == (2, 9)
    assert (log.count(), log.bytes_received()) == (3, 9)
    assert log.last() == (
        RequestRecord("PUT", "PutObject", "a", 200, 5),
        RequestRecord("PUT", "PutObject", "b", 200, 4),
        RequestRecord("GET", "GetBucketInfo", "", 200, 0),
    )
    log.clear()
    assert (log.count(), log.last()) == (0, ())


@pytest.mark.parametrize("length", ["-5", "x", "1e3"])
def test_a_length_that_is_no_number(box: Box, length: str) -> None:
    answer = box.raw("PUT", "k", f"Content-Length: {length}")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_chunk_that_is_none(box: Box) -> None:
    with pytest.raises(ConnectionResetError):
        box.raw("PUT", "k", "Transfer-Encoding: chunked", body=b"zz\r\n")
    assert box.state.objects(BUCKET) == []


def test_expect_100_continue(box: Box) -> None:
    lines = ("Content-Length: 2", "Expect: 100-continue")
    answer = box.raw("PUT", "k", *lines, body=b"hi")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")


def test_a_bug_is_500_and_kept_for_the_test() -> None:
    def broken(request: Request) -> Response:
        raise KeyError(request.path)

    endpoint = Endpoint("studio", broken, faults=FaultPlan())
    endpoint.start()
    assert requests.get(endpoint.url + "/x", timeout=10).status_code == 500
    endpoint.stop()
    with pytest.raises(KeyError, match="/x"):
        endpoint.check()


def test_a_port_that_is_taken() -> None:
    first = Endpoint("studio", hello, faults=FaultPlan())
    first.start()
    second = Endpoint("studio", hello, faults=FaultPlan(), port=first.port)
    with pytest.raises(OSError, match=r"[Aa]ddress"):
        second.start()
    with pytest.raises(HTTPServerError, match="already running"):
        first.start()
    first.stop()
    first.stop()
    second.start()  # the port is free again
    assert requests.get(second.url, timeout=10).content == b"hello"
    second.stop()


def test_stopping_ends_idle_connections() -> None:
    endpoint = Endpoint("studio", hello, faults=FaultPlan())
    endpoint.start()
    before = threading.active_count()
    with requests.Session() as session:
        assert session.get(endpoint.url, timeout=10).status_code == 200
        endpoint.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(endpoint.url, timeout=10)
    assert threading.active_count() <= before


def test_nothing_is_printed() -> None:
    script = """
import requests
from requests.adapters import HTTPAdapter
from werkzeug.wrappers import Request, Response
from preflight.sandbox.faults import FaultPlan
from preflight.sandbox.oss import OssRoutes
from preflight.sandbox.server import Endpoint
def broken(request: Request) -> Response:
    return Response(str(1 // len(request.args)))
endpoint = Endpoint("studio", broken, faults=FaultPlan())
endpoint.start()
print(requests.get(endpoint.url).status_code, requests.get(endpoint.url + "?a").text)
endpoint.stop()
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("500 1\n", "")
