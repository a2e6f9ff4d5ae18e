from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

import oss2
import pytest
import requests

from preflight.sandbox.oss import Credential
from preflight.sandbox.oss.policy import READ_ONLY, lacking
from tests.sandbox.oss.box import BUCKET, KEY_ID, SECRET, Box, code_of, refused

BOTH = pytest.mark.parametrize("v1", [False, True])


@BOTH
def test_a_wrong_secret(box: Box, v1: bool) -> None:
    client = box.client(v1=v1, secret="wrong")
    error = refused("SignatureDoesNotMatch", 403, lambda: client.get_object("k"))
    assert error.details["OSSAccessKeyId"] == KEY_ID
    assert error.details["StringToSign"].startswith("GET" if v1 else "OSS4-HMAC")
    refused("SignatureDoesNotMatch", 403, lambda: client.head_object("k"))


@BOTH
def test_an_unknown_key(box: Box, v1: bool) -> None:
    client = box.client(v1=v1, key_id="LTAIunknown")
    refused("InvalidAccessKeyId", 403, client.get_bucket_info)


def test_the_region_in_the_scope(box: Box) -> None:
    for region in ["cn-hangzhou", "oss-ap-southeast-1", ""]:
        client = box.client(region=region)
        error = refused("InvalidArgument", 400, client.get_bucket_info)
        assert error.ec == "0002-00000226"
        assert "region" in error.message


@BOTH
@pytest.mark.parametrize("ahead", [-1000, 1000])
def test_a_skewed_clock(box: Box, v1: bool, ahead: int) -> None:
    box.clock.ahead = ahead
    client = box.client(v1=v1)
    error = refused("RequestTimeTooSkewed", 403, client.get_bucket_info)
    assert error.details["MaxAllowedSkewMilliseconds"] == "900000"
    text = error.details["ServerTime"]
    told = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.000Z")
    server = told.replace(tzinfo=timezone.utc).timestamp()
    assert abs(server - time.time() - ahead) < 60
    box.clock.ahead = ahead * 0.8  # 13 minutes pass
    assert client.get_bucket_info().name == BUCKET


@pytest.mark.parametrize("name", ["x-oss-meta-a", "Content-Type", "Content-MD5"])
def test_headers_are_signed(box: Box, name: str) -> None:
    def tamper(request: oss2.http.Request) -> None:
        request.headers[name] = "AAAAAAAAAAAAAAAAAAAAAA=="

    answer = box.send("PUT", "k", data=b"x", headers={name: "a"}, sign=tamper)
    assert (answer.status_code, code_of(answer)) == (403, "SignatureDoesNotMatch")


def test_parameters_and_key_are_signed(box: Box) -> None:
    def other_page(request: oss2.http.Request) -> None:
        request.params["max-keys"] = "2"

    answer = box.send("GET", query={"max-keys": "1"}, sign=other_page)
    assert code_of(answer) == "SignatureDoesNotMatch"

    def other_object(request: oss2.http.Request) -> None:
        oss2.AuthV4(KEY_ID, SECRET)._sign_request(request, BUCKET, "other")

    answer = box.send("GET", "k", sign=other_object)
    assert code_of(answer) == "SignatureDoesNotMatch"


def test_additional_headers_are_signed(box: Box) -> None:
    def sign(request: oss2.http.Request) -> None:
        auth = oss2.AuthV4(KEY_ID, SECRET)
        auth._sign_request(request, BUCKET, "k", in_additional_headers=["range"])

    box.client().put_object("k", b"0123")
    ask = {"Range": "bytes=1-2"}
    assert box.send("GET", "k", headers=ask, sign=sign).content == b"12"

    def tamper(request: oss2.http.Request) -> None:
        sign(request)
        request.headers["Range"] = "bytes=0-2"

    answer = box.send("GET", "k", headers=ask, sign=tamper)
    assert code_of(answer) == "SignatureDoesNotMatch"


def changed(name: str, value: str) -> Callable[[oss2.http.Request], None]:
    def change(request: oss2.http.Request) -> None:
        request.headers[name] = value

    return change


def test_malformed(box: Box) -> None:
    for name, value, code in [
        ("Authorization", "OSS2 AccessKeyId:a,Signature:b", "InvalidArgument"),
        ("Authorization", "OSS4-HMAC-SHA256 Credential=a/b", "InvalidArgument"),
        ("x-oss-content-sha256", "0" * 64, "InvalidArgument"),
        ("x-oss-date", "today", "InvalidArgument"),
    ]:
        answer = box.send("GET", "k", sign=changed(name, value))
        assert (answer.status_code, code_of(answer)) == (400, code)


@BOTH
def test_signed_urls(box: Box, v1: bool) -> None:
    client = box.client(v1=v1)
    put = client.sign_url("PUT", "dir/ü k", 60)
    assert box.http.put(put, data=b"by url", timeout=10).status_code == 200
    get = client.sign_url("GET", "dir/ü k", 60)
    assert box.http.get(get, timeout=10).content == b"by url"
    assert code_of(box.http.get(get + "x", timeout=10)) in (
        "SignatureDoesNotMatch",
        "AccessDenied",
    )
    assert code_of(box.http.delete(get, timeout=10)) == "SignatureDoesNotMatch"
    box.clock.ahead = 61
    late = box.http.get(get, timeout=10)
    assert (late.status_code, code_of(late)) == (403, "AccessDenied")


@BOTH
def test_new_accounts_sign_with_v4_alone(box: Box, v1: bool) -> None:
    box.client().put_object("k", b"x")
    box.state.strict_v4 = True
    client = box.client(v1=v1)
    answer = box.http.get(client.sign_url("GET", "k", 60), timeout=10)
    if v1:
        error = refused("AccessDenied", 403, lambda: client.get_object("k"))
        assert error.ec == "0002-00000080"
        assert code_of(answer) == "AccessDenied"
    else:
        assert answer.content == client.get_object("k").read() == b"x"


@BOTH
def test_temporary_credentials(box: Box, v1: bool) -> None:
    now = time.time()
    known = Credential("STS.id", "sts-secret", token="tok", expires_at=now + 3600)
    box.state.add_credential(known)
    client = box.client(v1=v1, key_id="STS.id", secret="sts-secret", token="tok")
    client.put_object("k", b"x")
    url = client.sign_url("GET", "k", 60)
    assert box.http.get(url, timeout=10).content == b"x"
    bare = box.client(v1=v1, key_id="STS.id", secret="sts-secret")
    refused("InvalidAccessKeyId", 403, lambda: bare.get_object("k"))
    other = box.client(v1=v1, key_id="STS.id", secret="sts-secret", token="old")
    refused("InvalidSecurityToken", 403, lambda: other.get_object("k"))
    box.state.add_credential(replace(known, expires_at=now - 1))
    error = refused("SecurityTokenExpired", 403, lambda: client.get_object("k"))
    assert error.ec == "0002-00000007"


def test_a_token_beside_a_permanent_key(box: Box) -> None:
    client = box.client(token="tok")
    error = refused("InvalidAccessKeyId", 403, lambda: client.get_object("k"))
    assert error.ec == "0002-00000002"


def test_a_read_only_key(box: Box) -> None:
    box.client().put_object("k", b"x")
    box.state.add_credential(Credential("reader", "s", policy=READ_ONLY))
    client = box.client(key_id="reader", secret="s")
    assert client.get_object("k").read() == b"x"
    for call in (
        lambda: client.put_object("k", b"y"),
        lambda: client.delete_object("k"),
        lambda: client.init_multipart_upload("k"),
        lambda: client.batch_delete_objects(["k"]),
    ):
        refused("AccessDenied", 403, call)
    assert client.get_object("k").read() == b"x"


def test_a_single_permission_can_be_missing(box: Box) -> None:
    missing = Credential("clerk", "s", policy=lacking("oss:GetBucketTagging"))
    box.state.add_credential(missing)
    client = box.client(key_id="clerk", secret="s")
    error = refused("AccessDenied", 403, client.get_bucket_tagging)
    assert b"<AuthAction>oss:GetBucketTagging</AuthAction>" in error.body
    assert error.ec == "0003-00000001"
    assert client.get_bucket_info().name == BUCKET


def test_anonymous_requests(box: Box) -> None:
    box.state.create_bucket("public-bucket", acl="public-read")
    box.client(bucket="public-bucket").put_object("k", b"x")
    box.client().put_object("k", b"x")

    def ask(method: str, bucket: str) -> requests.Response:
        url = f"{box.endpoint.url}/{bucket}/k"
        return box.http.request(method, url, timeout=10)

    assert ask("GET", "public-bucket").content == b"x"
    assert ask("PUT", "public-bucket").status_code == 403
    assert code_of(ask("GET", BUCKET)) == "AccessDenied"
