"""Links so slow that the time-outs come into play, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pytest_httpserver import HTTPServer

from preflight.crc import crc64
from preflight.errors import PreflightError
from preflight.oss.access import OssAccess
from preflight.oss.body import BytesBody
from preflight.oss.client import BucketClient
from preflight.retry import Retry, Transient
from preflight.sandbox.certificates import make_certificates

DATA = bytes(8 << 20)  # more than the sockets' buffers take
CONNECT = 0.2  # seconds
ANSWER = (
    "HTTP/1.1 200 OK\r\nx-oss-request-id: 1\r\nContent-Length: 0\r\n"
    f"x-oss-hash-crc64ecma: {crc64(DATA)}\r\n\r\n"
)


@contextmanager
def slow_server(seconds: float) -> Iterator[str]:
    """The URL of one that reads nothing for so long, before each of two requests."""
    ended = threading.Event()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                for _ in range(2):
                    ended.wait(seconds)
                    while stream.readline() not in (b"\r\n", b""):
                        pass
                    if len(stream.read(len(DATA))) == len(DATA):
                        connection.sendall(ANSWER.encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        ended.set()
        thread.join()


def put_twice(url: str, read: float) -> list[int]:
    access = OssAccess("LTAIexample", "secret", region="cn-beijing", endpoint=url)
    retry, timeout = Retry(attempts=1), (CONNECT, read)
    with BucketClient(access, "bucket", timeout=timeout, retry=retry) as client:
        return [client.put("k", lambda: BytesBody(DATA)) for _ in range(2)]


def test_a_slow_link_has_longer_to_send_than_to_connect() -> None:
    with slow_server(4 * CONNECT) as url:
        assert put_twice(url, 30.0) == [crc64(DATA)] * 2


def test_a_link_that_stands_still_is_given_up() -> None:
    with slow_server(60.0) as url, pytest.raises(PreflightError) as caught:
        put_twice(url, 0.5)
    assert isinstance(caught.value, Transient)
    assert "did not answer in time" in caught.value.message


def test_a_custom_domain_is_asked_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name stands for the bucket, which OSS would not find as `bucket.domain`."""
    host = "files.example.com"
    made = make_certificates(tmp_path, host)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.authority))
    look_up = socket.getaddrinfo

    def at_home(name: str, *words: Any, **more: Any) -> Any:  # noqa: ANN401
        return look_up("127.0.0.1" if name.endswith(host) else name, *words, **more)

    with HTTPServer(ssl_context=made.context()) as server:
        headers = {"x-oss-request-id": "r", "Content-Length": "0"}
        server.expect_request("/k").respond_with_data("", 200, headers)
        monkeypatch.setattr(socket, "getaddrinfo", at_home)
        access = OssAccess(
            "LTAIexample",
            "secret",
            region="cn-beijing",
            endpoint=f"https://{host}:{server.port}",
        )
        with BucketClient(access, "bucket", retry=Retry(attempts=1)) as client:
            assert client.head("k") is not None
        (request, _), *_ = server.log
    assert request.headers["Host"] == f"{host}:{server.port}"


class Refusing(BaseHTTPRequestHandler):
    """Refuses with a body of the size that the key says, and keeps the connection."""

    protocol_version = "HTTP/1.1"
    ports: ClassVar[list[int]] = []

    def do_DELETE(self) -> None:
        self.ports.append(self.client_address[1])
        size = int(self.path.partition("?")[0].rpartition("/")[2])
        self.send_response(403)
        self.send_header("x-oss-request-id", "1")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(bytes(size))


@pytest.mark.parametrize("size", [0, 300, 5000, 40_000])
def test_an_error_gives_its_connection_back_whatever_its_size(size: int) -> None:
    """A gateway's page is longer than what oss2 reads of an error."""
    Refusing.ports.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        access = OssAccess("LTAIexample", "secret", region="cn-beijing", endpoint=url)
        with BucketClient(access, "bucket", retry=Retry(attempts=1)) as client:
            for _ in range(5):
                with pytest.raises(PreflightError):
                    client.abort(str(size), "id")
        server.shutdown()
        thread.join()
    assert len(Refusing.ports) == 5
    assert len(set(Refusing.ports)) == 1
