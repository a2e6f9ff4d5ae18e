"""Answers that are not a success, over a real socket and through the real oss2."""

from __future__ import annotations

import base64
import json
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from pytest_httpserver import HTTPServer

from preflight.catalog.explanations import Service, load_explanations
from preflight.errors import (
    AccessDenied,
    ConfigurationError,
    PreflightError,
    TransferError,
    UsageError,
)
from preflight.oss.access import OssAccess
from preflight.oss.body import BytesBody, SliceBody
from preflight.oss.client import BucketClient
from preflight.oss.errors import (
    KeysExpired,
    Occupied,
    OssUnavailable,
    PermissionMissing,
    Refused,
    Skewed,
)
from preflight.oss.session import open_session
from preflight.retry import Retry

SECRET, TOKEN = "sEcReTsEcReT", "tOkEntOkEn"
REQUEST_ID = "65A1F2C3D4E5F60718293A4B"


def access_to(url: str) -> OssAccess:
    return OssAccess(
        "LTAIexample", SECRET, security_token=TOKEN, region="cn-beijing", endpoint=url
    )


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[BucketClient]:
    once = Retry(attempts=1)
    access = access_to(httpserver.url_for(""))
    with BucketClient(access, "bucket", timeout=(30, 30), retry=once) as made:
        yield made


def error_xml(code: str, **details: str) -> str:
    more = "".join(f"<{name}>{text}</{name}>" for name, text in details.items())
    return (
        f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>words of OSS"
        f"</Message><RequestId>{REQUEST_ID}</RequestId>{more}</Error>"
    )


def answer(
    server: HTTPServer, status: int, body: str, *, from_oss: bool = True
) -> None:
    headers = {"x-oss-request-id": REQUEST_ID} if from_oss else {}
    server.expect_request("/bucket/k").respond_with_data(body, status, headers)
    server.expect_request("/bucket/").respond_with_data(body, status, headers)


def failure(client: BucketClient) -> PreflightError:
    with pytest.raises(PreflightError) as caught:
        client.put("k", lambda: BytesBody(b"data"))
    return caught.value


KINDS: tuple[tuple[int, str, type], ...] = (
    (403, "InvalidAccessKeyId", KeysExpired),
    (403, "SignatureDoesNotMatch", AccessDenied),
    (403, "SecurityTokenExpired", KeysExpired),
    (403, "RequestTimeTooSkewed", Skewed),
    (403, "UserDisable", AccessDenied),
    (403, "AccessDenied", PermissionMissing),
    (404, "NoSuchBucket", UsageError),
    (400, "InvalidArgument", Refused),
    (400, "RequestTimeout", OssUnavailable),
    (409, "FileAlreadyExists", Occupied),
    (429, "TooManyRequests", OssUnavailable),
    (500, "InternalError", OssUnavailable),
    (503, "ServiceUnavailable", OssUnavailable),
)


ALLOW = " [oss:PutObject on acs:oss:*:*:bucket/k]"


def test_each_code_has_its_error(client: BucketClient, httpserver: HTTPServer) -> None:
    for status, code, kind in KINDS:
        answer(httpserver, status, error_xml(code, EC="0002-00000042"))
        error = failure(client)
        assert type(error) is kind, code
        told = f"put k: HTTP {status} {code} words of OSS (EC 0002-00000042)"
        if code == "NoSuchBucket":
            told = "the bucket does not exist in cn-beijing (NoSuchBucket)"
        assert error.message.removesuffix(ALLOW) == told
        assert error.message.endswith(ALLOW) == (kind is PermissionMissing)
        assert error.request_id == REQUEST_ID
        httpserver.clear_all_handlers()


def test_each_explanation_is_the_remedy_of_what_it_explains(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    """Every row of the data file, by each of its ECs, sentences and codes."""
    rows = [row for row in load_explanations() if row.service is Service.OSS]
    assert len(rows) > 30
    for row in rows:
        answers = [
            *(error_xml("AccessDenied", EC=ec) for ec in row.ecs),
            *(error_xml("Other").replace("words of OSS", s) for s in row.sentences),
            *(error_xml(code) for code in row.codes),
        ]
        for body in answers:
            answer(httpserver, 403, body)
            assert failure(client).hint == row.remedy, body
            httpserver.clear_all_handlers()


def test_the_action_that_oss_names_is_told(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    detail = (
        "<PolicyType>AccountLevelIdentityBasedPolicy</PolicyType>"
        "<NoPermissionType>ImplicitDeny</NoPermissionType>"
        "<AuthAction>oss:PutObjectTagging</AuthAction>"
    )
    answer(httpserver, 403, error_xml("AccessDenied", AccessDeniedDetail=detail))
    assert failure(client).message.endswith(
        " [oss:PutObjectTagging on acs:oss:*:*:bucket/k]"
    )


def test_a_wrong_endpoint_is_told_the_right_one(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    right = "oss-ap-southeast-1.aliyuncs.com"
    answer(httpserver, 403, error_xml("AccessDenied", Endpoint=right))
    error = failure(client)
    assert type(error) is ConfigurationError
    assert right in error.hint


def test_secrets_in_an_answer_are_masked(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    answer(
        httpserver,
        400,
        error_xml("InvalidArgument").replace(
            "words of OSS", f"key {SECRET} token {TOKEN} Signature=a1b2c3"
        ),
    )
    message = failure(client).message
    assert "key *** token *** Signature=***" in message


def test_a_head_error_has_its_code_in_a_header(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    packed = base64.b64encode(error_xml("NoSuchBucket").encode()).decode()
    httpserver.expect_request("/bucket/k").respond_with_data(
        "", 404, {"x-oss-request-id": REQUEST_ID, "x-oss-err": packed}
    )
    with pytest.raises(UsageError, match="NoSuchBucket"):
        client.head("k")


def test_a_bare_head_404_means_that_nothing_is_there(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    answer(httpserver, 404, "")
    assert client.head("k") is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, TransferError),
        (302, TransferError),
        (403, TransferError),
        (404, TransferError),
        (407, ConfigurationError),
        (502, OssUnavailable),
        (504, OssUnavailable),
    ],
)
def test_what_stands_in_between_is_not_taken_for_oss(
    client: BucketClient, httpserver: HTTPServer, status: int, kind: type
) -> None:
    page = "<!DOCTYPE html><html><body>Please sign in<br></body></html>"
    headers = {"Location": httpserver.url_for("/login")} if status == 302 else {}
    for path in ("/bucket/k", "/bucket/"):
        httpserver.expect_request(path).respond_with_data(page, status, headers)
    error = failure(client)
    assert type(error) is kind
    assert "HTTPS_PROXY" in error.hint
    for ask in (
        lambda: client.head("k"),
        lambda: list(client.list_objects("p/")),
        lambda: list(client.list_parts("k", "id")),
        lambda: client.initiate("k"),
        client.tags,
    ):
        with pytest.raises(kind):
            ask()


def test_a_garbled_listing_is_an_error_not_an_empty_listing(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    for body in (
        "",
        "{}",
        "<ListBucketResult/>",
        "<ListBucketResult><IsTruncated>perhaps</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</Is",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents/></ListBucketResult>",
    ):
        answer(httpserver, 200, body)
        with pytest.raises(TransferError, match="not from OSS"):
            list(client.list_objects("p/"))
        with pytest.raises(TransferError, match="not from OSS"):
            list(client.list_parts("k", "id"))
        httpserver.clear_all_handlers()


def page(kind: str, inner: str) -> str:
    return f"<{kind}><IsTruncated>true</IsTruncated>{inner}</{kind}>"


ENDLESS = {
    "objects": page(
        "ListBucketResult", "<NextContinuationToken>a</NextContinuationToken>"
    ),
    "uploads": page(
        "ListMultipartUploadsResult",
        "<NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>b</NextUploadIdMarker>",
    ),
    "parts": page("ListPartsResult", "<NextPartNumberMarker>7</NextPartNumberMarker>"),
}


def test_a_listing_that_goes_round_in_circles_ends(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    listings: dict[str, Iterator[object]] = {
        "objects": client.list_objects("p/"),
        "uploads": client.list_uploads("p/"),
        "parts": client.list_parts("k", "id"),
    }
    for what, listing in listings.items():
        answer(httpserver, 200, ENDLESS[what])
        with pytest.raises(TransferError, match="where it goes on"):
            list(listing)
        httpserver.clear_all_handlers()


def test_an_answer_without_crc_proves_nothing(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    answer(httpserver, 200, "")
    error = failure(client)
    assert "has no CRC-64" in error.message
    assert "proxy" in error.hint
    assert error.request_id == REQUEST_ID


def test_throttling_says_how_long_to_wait(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/bucket/k").respond_with_data(
        error_xml("ServiceUnavailable"),
        503,
        {"x-oss-request-id": REQUEST_ID, "x-oss-qos-delay-time": "1500"},
    )
    error = failure(client)
    assert isinstance(error, OssUnavailable)
    assert error.wait == 1.5


def unreachable(endpoint: str, read_timeout: float = 5.0) -> PreflightError:
    """The error of a client whose endpoint is not OSS."""
    with (
        BucketClient(
            access_to(endpoint),
            "bucket",
            timeout=(5.0, read_timeout),
            retry=Retry(attempts=1),
        ) as client,
        pytest.raises(PreflightError) as caught,
    ):
        client.head("k")
    return caught.value


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def nowhere() -> NoReturn:
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_who_was_not_reached_is_told_and_whether_it_may_pass(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    """`tests/test_http.py` has the causes one by one."""
    error = unreachable(f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, OssUnavailable)
    assert error.message == "look at k: 127.0.0.1 refuses connections"
    assert not error.sent
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = unreachable(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.1)
    assert isinstance(error, OssUnavailable)
    assert error.message == "look at k: 127.0.0.1 did not answer in time"
    assert error.sent
    error = unreachable(f"https://127.0.0.1:{httpserver.port}")
    assert type(error) is ConfigurationError
    assert error.message == "look at k: 127.0.0.1 does not speak TLS on this port"
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: nowhere())
    error = unreachable("https://oss-cn-beijing-internal.aliyuncs.com")
    assert isinstance(error, OssUnavailable)
    assert "from inside its region alone" in error.hint
    assert "https://oss-cn-beijing.aliyuncs.com" in error.hint
    monkeypatch.undo()
    monkeypatch.setenv("https_proxy", f"http://user:pw@127.0.0.1:{free_port()}")
    error = unreachable("https://oss.example")
    assert isinstance(error, OssUnavailable)  # one that is started anew comes back
    assert "proxy" in error.message
    assert "pw" not in error.message


def test_the_sandbox_is_reached_without_the_proxy_of_the_environment(
    client: BucketClient, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    answer(httpserver, 404, "")
    assert client.head("k") is None


def test_requests_are_signed_for_the_region(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    answer(httpserver, 404, "")
    client.head("k")
    signature = httpserver.log[0][0].headers["Authorization"]
    assert signature.startswith("OSS4-HMAC-SHA256 ")
    assert "/cn-beijing/oss/" in signature


def test_netrc_does_not_replace_the_signature(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login somebody password something\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    httpserver.expect_request("/").respond_with_data("")
    session = open_session(1, is_local=False).session
    session.get(httpserver.url_for("/"), headers={"Authorization": "signature"})
    session.close()
    assert httpserver.log[0][0].headers["Authorization"] == "signature"


def test_an_empty_object_is_sent_with_its_length(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/bucket/k").respond_with_data(
        "", 200, {"x-oss-request-id": REQUEST_ID, "x-oss-hash-crc64ecma": "0"}
    )
    assert client.put("k", lambda: BytesBody(b"")) == 0
    headers = httpserver.log[0][0].headers
    assert headers["Content-Length"] == "0"
    assert "Transfer-Encoding" not in headers


def test_oss2_logs_nothing(
    client: BucketClient, httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer(httpserver, 500, error_xml("InternalError"))
    failure(client)
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text
    assert not [one for one in caplog.records if one.name.startswith("oss2")]


def test_a_bad_bucket_name_is_a_configuration_error(httpserver: HTTPServer) -> None:
    with pytest.raises(ConfigurationError, match="bucket"):
        BucketClient(access_to(httpserver.url_for("")), "No Bucket")


def test_a_gateway_that_limits_the_size_of_a_request(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    answer(httpserver, 413, "<html>Request Entity Too Large", from_oss=False)
    error = failure(client)
    assert "a gateway takes no request of this size (HTTP 413)" in error.message
    assert "--part-size" in error.hint


@pytest.mark.parametrize("code", ["QuotaExceeded", "KmsServiceNotEnabled", "Odd"])
def test_a_refusal_that_is_no_lack_of_permission_names_none(
    client: BucketClient, httpserver: HTTPServer, code: str
) -> None:
    answer(httpserver, 403, error_xml(code))
    error = failure(client)
    assert isinstance(error, AccessDenied)
    assert not isinstance(error, PermissionMissing)
    assert "oss:PutObject" not in error.message


def test_an_error_below_our_own_code_while_sending_is_ours(
    client: BucketClient, httpserver: HTTPServer
) -> None:
    """The scanner looks at what is sent, by libraries that raise in their own name."""
    answer(httpserver, 200, "")

    class Zeros:
        def read_into(self, view: memoryview, offset: int) -> int:
            del offset
            return len(view)

    def look(offset: int, block: memoryview) -> None:
        json.loads(bytes(block[offset:0]))

    with pytest.raises(json.JSONDecodeError):
        client.put("k", lambda: SliceBody(Zeros(), 0, 4, on_block=look))


def test_an_error_of_our_own_while_sending_is_not_blamed_on_oss(
    client: BucketClient, httpserver: HTTPServer, tmp_path: Path
) -> None:
    answer(httpserver, 200, "")
    # A module of the package whose body breaks while it is read.
    source = (
        "class Broken:\n"
        "    len = 4\n"
        "    crc = 0\n"
        "    def read(self, size=-1):\n"
        "        raise ValueError('ours')\n"
    )
    space: dict[str, Any] = {"__name__": "preflight.oss.body"}
    exec(compile(source, str(tmp_path), "exec"), space)  # noqa: S102
    with pytest.raises(ValueError, match="ours"):
        client.put("k", space["Broken"])
