from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from preflight.errors import (
    AccessDenied,
    AmbiguousAnswer,
    ConfigurationError,
    ImportFailed,
    PreflightError,
    ServiceUnavailable,
)
from preflight.sandbox.certificates import make_certificates
from preflight.studio import StudioClient
from preflight.studio.client import MAX_BODY
from preflight.studio.models import StudioUnavailable
from tests.manual_clock import ManualClock
from tests.raw_server import OK, RESET, SILENCE, http, raw_server

KEY = "sk-planted0123456789abcdef"
PATH = "/custom_models/import"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def client(httpserver: HTTPServer, clock: ManualClock) -> Iterator[StudioClient]:
    with StudioClient(httpserver.url_for("/api/v1"), KEY, clock=clock) as made:
        yield made


def raw_client(url: str, clock: ManualClock, read_timeout: float = 30) -> StudioClient:
    return StudioClient(url, KEY, clock=clock, timeout=(5, read_timeout))


def error_form(code: str, message: str = "said the server") -> dict[str, str]:
    return {"request_id": "r-9", "code": code, "message": message}


def test_a_request_carries_key_query_and_body(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    httpserver.expect_ordered_request(
        "/api/v1/x",
        method="POST",
        json={"display_name": "名"},
        query_string={"a": "1"},
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    ).respond_with_json({"request_id": "r-1", "output": {"n": 1}})
    answer = client.request("POST", "/x", query={"a": 1}, body={"display_name": "名"})
    assert (answer.output, answer.request_id) == ({"n": 1}, "r-1")


def test_a_netrc_entry_does_not_replace_the_key(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    httpserver.expect_request(
        "/api/v1/x", headers={"Authorization": f"Bearer {KEY}"}
    ).respond_with_json({"output": {}})
    with StudioClient(httpserver.url_for("/api/v1"), KEY) as made:
        assert made.request("GET", "/x").output == {}


def test_each_refusal_is_a_typed_error_that_says_why(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    for status, code, kind, exit_code, words in [
        (400, "InvalidParameter", ImportFailed, 6, "malformed"),
        (400, "Arrearage", ImportFailed, 6, "overdue"),
        (401, "InvalidApiKey", AccessDenied, 4, "another region"),
        (403, "AccessDenied", AccessDenied, 4, "may not use"),
        (403, "Workspace.AccessDenied", AccessDenied, 4, "workspace"),
        (403, "AccessDenied.Unpurchased", AccessDenied, 4, "not activated"),
        (400, "InvalidApiKey", AccessDenied, 4, "another region"),
        (404, "NotFound", ImportFailed, 6, "does not exist"),
        (403, "OperationDenied", ImportFailed, 6, "does not fit"),
        (409, "OperationDenied", ImportFailed, 6, "does not fit"),
        (418, "Brewing", ImportFailed, 6, "Brewing: said the server"),
        (200, "InvalidParameter", ImportFailed, 6, "malformed"),
        (429, "Throttling.RateQuota", ServiceUnavailable, 6, "too many requests"),
        (400, "Throttling", ServiceUnavailable, 6, "too many requests"),
        (429, "Throttling.AllocationQuota", ServiceUnavailable, 6, "quota"),
        (500, "InternalError", ServiceUnavailable, 6, "failed inside"),
        (500, "InternalError.Timeout", ServiceUnavailable, 6, "too long"),
        (500, "RequestTimeOut", ServiceUnavailable, 6, "too long"),
        (503, "SystemError", ServiceUnavailable, 6, "failed inside"),
        (501, "NotImplementedBySandbox", ServiceUnavailable, 6, "said the server"),
    ]:
        httpserver.expect_request("/api/v1/x").respond_with_json(
            error_form(code), status=status
        )
        with pytest.raises(kind) as caught:
            client.request("GET", "/x")
        error = caught.value
        assert isinstance(error, ServiceUnavailable) == (kind is ServiceUnavailable)
        assert error.exit_code == exit_code
        assert error.request_id == "r-9"
        assert code in error.message
        assert words in error.message
        assert str(error) == error.message
        httpserver.clear()


def test_a_refused_key_names_the_host_it_was_sent_to(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    httpserver.expect_request("/api/v1/x").respond_with_json(
        error_form("InvalidApiKey"), status=401
    )
    with pytest.raises(AccessDenied) as caught:
        client.request("GET", "/x")
    assert client.host in caught.value.hint
    assert "key of another region" in caught.value.hint


def test_a_get_is_sent_again_until_it_succeeds(
    httpserver: HTTPServer, client: StudioClient, clock: ManualClock
) -> None:
    for status in (429, 503):
        httpserver.expect_ordered_request("/api/v1/x").respond_with_json(
            error_form("InternalError"), status=status
        )
    httpserver.expect_ordered_request("/api/v1/x").respond_with_data(
        "<html>what stands before it failed</html>", status=500
    )
    httpserver.expect_ordered_request("/api/v1/x").respond_with_json(
        {"output": {"n": 4}}
    )
    assert client.request("GET", "/x").output == {"n": 4}
    assert len(httpserver.log) == 4
    assert len(clock.slept) == 3
    assert all(0 <= pause <= 20 for pause in clock.slept)


def test_a_service_that_was_reached_once_is_waited_for(
    httpserver: HTTPServer, clock: ManualClock
) -> None:
    """By time, not by attempts; one that never answered may be a wrong address."""
    url = httpserver.url_for("/api/v1")
    with StudioClient(url, KEY, clock=clock, patience=600) as client:
        down = Response(json.dumps(error_form("SystemError")), 503)
        httpserver.expect_request("/api/v1/x").respond_with_response(down)
        with pytest.raises(StudioUnavailable):
            client.request("GET", "/x")
        assert len(httpserver.log) == 5
        httpserver.clear()
        httpserver.expect_request("/api/v1/up").respond_with_json({"output": {}})
        client.request("GET", "/up")
        for _ in range(20):
            httpserver.expect_ordered_request("/api/v1/x").respond_with_response(down)
        httpserver.expect_ordered_request("/api/v1/x").respond_with_json({"output": {}})
        began = clock.time
        client.request("GET", "/x")
        assert clock.time - began > 60
        httpserver.clear()
        httpserver.expect_request("/api/v1/x").respond_with_response(down)
        began = clock.time
        with pytest.raises(StudioUnavailable):
            client.request("GET", "/x")
        assert clock.time - began == pytest.approx(600)


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(
    httpserver: HTTPServer, client: StudioClient, clock: ManualClock, *, as_date: bool
) -> None:
    wanted = formatdate(time.time() + 37, usegmt=True) if as_date else "37"
    httpserver.expect_ordered_request("/api/v1/x").respond_with_json(
        error_form("Throttling"), status=429, headers={"Retry-After": wanted}
    )
    httpserver.expect_ordered_request("/api/v1/x").respond_with_json({"output": {}})
    client.request("GET", "/x")
    assert 30 < clock.slept[0] <= 37


def test_a_retry_after_beyond_reason_ends_the_tries(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    for value, sent in [
        ("100000", 1),
        ("soon", 5),
        ("-5", 5),
        ("Sat, 01 Jan 0000 00:00:00 GMT", 5),
        (f"Sat, 01 Jan {'9' * 30} 00:00:00 GMT", 5),
    ]:
        httpserver.expect_request("/api/v1/x").respond_with_json(
            error_form("Throttling"), status=429, headers={"Retry-After": value}
        )
        with pytest.raises(ServiceUnavailable):
            client.request("GET", "/x")
        assert len(httpserver.log) == sent
        httpserver.clear()


def test_only_a_get_is_sent_again_and_only_a_failure_is_ambiguous(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    for status, ambiguous, gets in [
        (400, False, 1),
        (401, False, 1),
        (403, False, 1),
        (404, False, 1),
        (429, False, 5),
        (501, False, 1),
        (500, True, 5),
        (502, True, 5),
        (504, True, 5),
    ]:
        form = error_form("InternalError" if ambiguous else "Some")
        httpserver.expect_request("/api/v1/x").respond_with_json(form, status=status)
        for method in ("POST", "DELETE"):
            with pytest.raises(PreflightError) as caught:
                client.request(method, "/x")
            assert isinstance(caught.value, AmbiguousAnswer) == ambiguous
            assert ("may have been carried out" in caught.value.message) == ambiguous
            assert caught.value.request_id == "r-9"
        assert len(httpserver.log) == 2
        with pytest.raises(PreflightError):
            client.request("GET", "/x")
        assert len(httpserver.log) == 2 + gets
        httpserver.clear()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (RESET, "broke"),
        (SILENCE, "in time"),
        (http(OK, length=len(OK) + 10), "not whole"),
        (http(OK[:-5]), "not JSON"),
        (http(b"<!DOCTYPE html><title>Log in</title>"), "an HTML page"),
        (http(b"[" * 200_000), "not JSON"),
        (http(b" " * (MAX_BODY + 1)), "more than 8 MiB"),
    ],
)
def test_a_lost_answer_is_ambiguous_for_a_post_and_retried_for_a_get(
    clock: ManualClock, *, answer: bytes, words: str
) -> None:
    with raw_server([answer]) as server:
        client = raw_client(server.url, clock, read_timeout=0.3)
        with client, pytest.raises(AmbiguousAnswer, match=words):
            client.request("POST", PATH, body={})
        assert server.count("POST") == 1
        with client, pytest.raises(ServiceUnavailable, match=words):
            client.request("GET", PATH, attempts=2)
        assert server.count("GET") == 2
    with raw_server([answer, http(OK)]) as server:
        client = raw_client(server.url, clock, read_timeout=0.3)
        with client:
            assert client.request("GET", PATH).output["job_id"] == "j-1"


def test_a_request_that_never_left_is_not_ambiguous(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tests/test_http.py` has the causes one by one."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with raw_client(f"http://127.0.0.1:{port}/api/v1", clock) as client:
        for method in ("GET", "POST"):
            with pytest.raises(StudioUnavailable, match="refuses connections"):
                client.request(method, PATH)
    assert len(clock.slept) == 4
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    client = raw_client("https://dashscope-intl.aliyuncs.com/api/v1", clock)
    with client, pytest.raises(StudioUnavailable, match="proxy refuses") as caught:
        client.request("POST", PATH)
    assert "HTTPS_PROXY" in caught.value.hint


def test_what_only_the_user_can_mend_is_told_at_once(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_certificates(tmp_path, "localhost")
    with HTTPServer(host="localhost", ssl_context=made.context()) as server:
        with StudioClient(server.url_for("/api/v1"), KEY, clock=clock) as client:
            with pytest.raises(ServiceUnavailable, match="certificate") as caught:
                client.request("GET", "/x")
            assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        assert server.log == []
    gone = str(tmp_path / "gone.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", gone)
    client = raw_client("https://dashscope-intl.aliyuncs.com/api/v1", clock)
    with client, pytest.raises(ConfigurationError, match=re.escape(gone)):
        client.request("GET", "/x")
    assert clock.slept == []


def test_a_redirect_is_not_followed(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    with raw_server([http(OK)]) as elsewhere:
        httpserver.expect_request("/api/v1/x").respond_with_response(
            Response(status=307, headers={"Location": elsewhere.url})
        )
        for method in ("GET", "POST"):
            with pytest.raises(ServiceUnavailable, match="redirects to"):
                client.request(method, "/x")
        assert elsewhere.requests == []


def test_an_empty_answer_204_is_a_success(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    httpserver.expect_request("/api/v1/x").respond_with_response(
        Response(status=204, headers={"X-Request-Id": "r-204"})
    )
    answer = client.request("DELETE", "/x")
    assert (answer.output, answer.request_id) == ({}, "r-204")
    httpserver.expect_request("/api/v1/y").respond_with_json({"request_id": "r-200"})
    answer = client.request("DELETE", "/y")
    assert (answer.output, answer.request_id) == ({}, "r-200")
    httpserver.expect_request("/api/v1/z").respond_with_json(error_form("Conflict"))
    with pytest.raises(ImportFailed, match="Conflict"):
        client.request("DELETE", "/z")


def test_a_proxy_s_refusal_is_not_taken_for_the_service_s(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    httpserver.expect_request("/api/v1/x").respond_with_data(
        "<html>blocked</html>", status=403, content_type="text/html"
    )
    with pytest.raises(ServiceUnavailable, match=r"HTML page \(HTTP 403\)"):
        client.request("GET", "/x")


def test_the_key_is_in_no_message_repr_log_or_traceback(
    httpserver: HTTPServer, client: StudioClient, caplog: pytest.LogCaptureFixture
) -> None:
    for status in [400, 401, 500]:

        def quoting(request: Request, status: int = status) -> Response:
            said = f"Incorrect API key provided: {request.headers['Authorization']}"
            form = error_form("InvalidApiKey" if status == 401 else "Some", said)
            return Response(json.dumps(form | {"request_id": KEY}), status)

        httpserver.expect_request("/api/v1/x").respond_with_handler(quoting)
        with caplog.at_level(logging.DEBUG):
            for method in ("GET", "POST"):
                with pytest.raises(PreflightError) as caught:
                    client.request(method, "/x")
                error = caught.value
                shown = "".join(traceback.format_exception(error))
                shown += (
                    f"{error!r}{error.args}{error.hint}{error.request_id}{client!r}"
                )
                assert "Incorrect API key provided" in shown
                assert KEY not in shown
        assert caplog.records
        assert KEY not in caplog.text
        httpserver.clear()


def test_a_broken_connection_keeps_its_cause_but_not_the_key(
    clock: ManualClock,
) -> None:
    with raw_server([RESET]) as server:
        client = raw_client(server.url, clock)
        with client, pytest.raises(AmbiguousAnswer) as caught:
            client.request("POST", PATH)
    causes: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        causes.append(error)
        assert KEY not in repr(vars(error))
        assert getattr(error, "request", None) is None
        error = error.__cause__
    assert len(causes) >= 3


def test_a_key_that_no_header_carries_is_refused_unseen() -> None:
    for key in ["", "sk-planted\n", "'sk-planted'", "sk-plänted"]:
        with pytest.raises(ConfigurationError) as caught:
            StudioClient("https://dashscope-intl.aliyuncs.com/api/v1", key)
        assert "sk-pl" not in str(caught.value)


def test_control_characters_of_a_server_do_not_reach_the_terminal(
    httpserver: HTTPServer, client: StudioClient
) -> None:
    said = "\x1b[2J\x1b]0;owned\x07 line one\nline two" + "x" * 5000
    httpserver.expect_request("/api/v1/x").respond_with_json(
        error_form("Some\x1b", said), status=400
    )
    with pytest.raises(ImportFailed) as caught:
        client.request("GET", "/x")
    assert caught.value.message.isprintable()
    assert "line one line two" in caught.value.message
    assert len(caught.value.message) < 800


def test_an_answer_that_never_ends_is_given_up(
    httpserver: HTTPServer, clock: ManualClock, client: StudioClient
) -> None:
    def dripping(_: Request) -> Response:
        def pieces() -> Iterator[bytes]:
            while True:
                clock.time += 100  # as if the piece had taken that long
                yield b" " * 65536

        return Response(pieces(), 200, content_type="application/json")

    httpserver.expect_request("/api/v1/x").respond_with_handler(dripping)
    with pytest.raises(ServiceUnavailable, match="did not end"):
        client.request("GET", "/x", attempts=1)


class HurryingClock(ManualClock):
    """Each look at it takes a minute."""

    def now(self) -> float:
        self.time += 60
        return self.time


def test_an_answer_of_known_length_that_drips_in_is_given_up() -> None:
    answer = http(b" " * 8192, length=60_000)
    with raw_server([answer]) as server:
        client = StudioClient(server.url, KEY, clock=HurryingClock())
        with pytest.raises(ServiceUnavailable, match="did not end"):
            client.request("GET", "/x", attempts=1)
        client.close()


def test_importing_the_package_loads_no_http_library() -> None:
    code = (
        "import sys, preflight.studio, preflight.settings;"
        "print(sorted({'requests', 'urllib3', 'oss2', 'tqdm'} & set(sys.modules)))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"
