"""What requests raises against servers and proxies that fail in one way each."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import urllib3
from pytest_httpserver import HTTPServer

from preflight.http import Cause, Unreached, what_came, why_unreached
from preflight.sandbox.certificates import make_certificates
from tests.raw_server import RESET, SILENCE, http, raw_server

NOWHERE = "https://oss.example"


def asked(url: str, **more: object) -> Unreached:
    """Why a GET of the URL brings no answer."""
    with requests.Session() as session, pytest.raises(Exception) as caught:  # noqa: PT011
        session.get(url, timeout=(5, 5), **more)  # type: ignore[arg-type]
    return why_unreached(caught.value, "HOST")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def full_backlog() -> Iterator[int]:
    """The port of a listener whose queue is full: what asks there gets no answer."""
    waiting = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        yield int(listener.getsockname()[1])
        for one in waiting:
            one.close()


def test_nobody_listens() -> None:
    why = asked(f"http://127.0.0.1:{free_port()}")
    assert (why.cause, why.words) == (Cause.REFUSED, "HOST refuses connections")
    assert why.passes
    assert not why.sent


def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    why = asked("http://nowhere.example")
    assert (why.cause, why.words) == (Cause.DNS, "HOST has no address")
    assert (why.passes, why.sent) == (True, False)


def test_a_network_that_is_down_and_an_odd_refusal_to_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number, words in (
        (errno.ENETUNREACH, "this machine has no way to HOST"),
        (errno.EADDRNOTAVAIL, "HOST cannot be reached ("),
    ):

        def lost(*_: object, number: int = number, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(socket.socket, "connect", lost)
        why = asked("http://127.0.0.1:9")
        assert why.cause is Cause.NO_ROUTE
        assert why.words.startswith(words)
        assert (why.passes, why.sent) == (True, False)


def test_no_connection_in_time() -> None:
    with full_backlog() as port, requests.Session() as session:
        with pytest.raises(requests.ConnectTimeout) as caught:
            session.get(f"http://127.0.0.1:{port}", timeout=(0.2, 5))
        why = why_unreached(caught.value, "HOST")
    assert why.cause is Cause.UNANSWERED
    assert (why.passes, why.sent) == (True, False)


def test_a_request_without_an_answer_may_have_arrived() -> None:
    for answer, cause, words in (
        (RESET, Cause.BROKEN, "HOST: the connection broke ("),
        (b"", Cause.BROKEN, "HOST: the connection broke ("),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Cause.BROKEN, "HOST: the connection broke ("),
        (http(b"half", length=99), Cause.TORN, "the answer of HOST is not whole"),
    ):
        with raw_server([answer]) as server:
            why = asked(server.url)
        assert why.cause is cause
        assert why.words.startswith(words)
        assert (why.passes, why.sent) == (True, True)
    with raw_server([SILENCE]) as server, requests.Session() as session:
        with pytest.raises(requests.ReadTimeout) as caught:
            session.get(server.url, timeout=(5, 0.2))
        why = why_unreached(caught.value, "HOST")
    assert (why.cause, why.words) == (Cause.TIMEOUT, "HOST did not answer in time")
    assert why.sent


def test_a_reason_of_others_is_masked() -> None:
    error = urllib3.exceptions.ProtocolError("broken", OSError("user:pw@proxy"))
    why = why_unreached(error, "HOST", mask=lambda text: text.replace("pw", "***"))
    assert "***@proxy" in why.words


@pytest.mark.parametrize(
    ("host", "trusted", "expired", "words", "hint"),
    [
        ("localhost", False, False, "unable to get local issuer", "REQUESTS_CA_BUNDLE"),
        ("localhost", True, True, "certificate has expired", "clock"),
        ("elsewhere.example", True, False, "ostname mismatch", "check the address"),
    ],
)
def test_a_certificate_that_does_not_convince(
    tmp_path: Path, *, host: str, trusted: bool, expired: bool, words: str, hint: str
) -> None:
    made = make_certificates(tmp_path, host, expired=expired)
    with HTTPServer(host="localhost", ssl_context=made.context()) as server:
        why = asked(
            server.url_for("/"), verify=str(made.authority) if trusted else True
        )
        assert server.log == []
    assert why.cause is Cause.CERTIFICATE
    assert words in why.words
    assert hint in why.hint
    assert (why.passes, why.sent, why.is_setting) == (False, False, False)


def test_no_tls_at_the_other_end(httpserver: HTTPServer) -> None:
    why = asked(f"https://127.0.0.1:{httpserver.port}")
    assert why.cause is Cause.NO_TLS
    assert why.words == "HOST does not speak TLS on this port"
    assert why.is_setting


@contextmanager
def answering(text: bytes) -> Iterator[int]:
    """The port of a server that gives one connection these bytes, then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(text)

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(listener.getsockname()[1])
        thread.join()


def refusing(status: int) -> bytes:
    return f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("proxy", "answer", "cause", "words"),
    [
        ("http://u:pw@127.0.0.1:{}", None, Cause.PROXY, "the proxy refuses"),
        ("http://127.0.0.1:{}", 407, Cause.PROXY_REFUSES, "asks for a login"),
        ("http://127.0.0.1:{}", 403, Cause.PROXY_REFUSES, "through to HOST (HTTP 403)"),
        ("http://127.0.0.1:{}", 502, Cause.PROXY, "through to HOST (HTTP 502)"),
        ("https://127.0.0.1:{}", 400, Cause.PROXY_SETTING, "speaks plain http"),
        ("socks5h://127.0.0.1:{}", None, Cause.PROXY_SETTING, "is a SOCKS proxy"),
        ("http://", None, Cause.PROXY_SETTING, "address cannot be used"),
        ("gopher://127.0.0.1:{}", None, Cause.PROXY_SETTING, "address cannot be used"),
    ],
)
def test_a_proxy_is_blamed_not_the_server(
    proxy: str, answer: int | None, cause: Cause, words: str
) -> None:
    if answer is None:
        why = asked(NOWHERE, proxies={"https": proxy.format(free_port())})
    else:
        with answering(refusing(answer)) as port:
            why = asked(NOWHERE, proxies={"https": proxy.format(port)})
    assert why.cause is cause
    assert words in why.words
    assert "pw" not in why.words
    assert why.is_setting == (cause is not Cause.PROXY)
    assert why.passes == (cause is Cause.PROXY)
    assert not why.sent


def test_a_local_cause_is_named_with_its_file(
    tmp_path: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.pem"
    why = asked("https://127.0.0.1:9", verify=str(gone))
    assert why.cause is Cause.LOCAL
    assert str(gone) in why.words
    assert "REQUESTS_CA_BUNDLE" in why.hint
    monkeypatch.setenv("SSLKEYLOGFILE", str(gone / "log"))
    why = asked(f"https://127.0.0.1:{httpserver.port}")
    assert why.cause is Cause.LOCAL
    assert str(gone / "log") in why.words
    assert why.is_setting


def test_too_many_open_files_are_this_machine_s_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", full)
    why = asked("http://127.0.0.1:9")
    assert (why.cause, "ulimit" in why.hint) == (Cause.DESCRIPTORS, True)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: asked("http://"), Cause.ADDRESS),
        (lambda: asked("gopher://127.0.0.1"), Cause.ADDRESS),
        (lambda: asked("127.0.0.1"), Cause.ADDRESS),
    ],
)
def test_an_address_that_cannot_be_used(
    make: Callable[[], Unreached], cause: Cause
) -> None:
    why = make()
    assert (why.cause, why.is_setting) == (cause, True)


def test_a_redirect_without_end(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/").respond_with_data(
        "", 302, {"Location": httpserver.url_for("/")}
    )
    why = asked(httpserver.url_for("/"))
    assert (why.cause, why.passes) == (Cause.REDIRECT, False)


def test_an_answer_of_somebody_else_in_a_few_words() -> None:
    page = {"content-type": "text/html; charset=utf-8"}
    assert what_came(403, page, b" <!DOCTYPE html>") == "an HTML page (HTTP 403)"
    assert what_came(200, {}, b" \n") == "an empty body (HTTP 200)"
    assert what_came(200, page, b"xyz") == "3 bytes of text/html (HTTP 200)"
    assert what_came(502, {}, b"xyz") == "3 bytes of no content type (HTTP 502)"
