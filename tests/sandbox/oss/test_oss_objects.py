from __future__ import annotations

import base64
from functools import partial

import oss2
import pytest

from preflight.crc import crc64
from tests.sandbox.oss.box import BUCKET, Box, code_of, md5_of, parsed, refused


@pytest.mark.parametrize("v1", [False, True])
def test_what_is_put_can_be_read(box: Box, v1: bool) -> None:
    client = box.client(v1=v1)
    for key in ("a", "dir/sub/x.json", "ä ö+%2F&=?#.txt", "a//b", "x/"):
        assert_reads_back(client, key)


def assert_reads_back(client: oss2.Bucket, key: str) -> None:
    put = client.put_object(key, b"hello", headers={"x-oss-meta-who": "me"})
    assert put.etag == md5_of(b"hello").hex().upper()
    assert put.crc == crc64(b"hello")
    assert client.get_object(key).read() == b"hello"
    head = client.head_object(key)
    assert head.content_length == 5
    assert head.headers["x-oss-meta-who"] == "me"
    assert head.headers["x-oss-hash-crc64ecma"] == str(crc64(b"hello"))
    assert head.headers["ETag"] == f'"{put.etag}"'
    assert head.headers["x-oss-storage-class"] == "Standard"


def test_an_empty_object_comes_in_chunks_from_oss2(box: Box) -> None:
    client = box.client()
    assert client.put_object("empty", b"").crc == 0
    assert client.head_object("empty").content_length == 0
    assert client.get_object("empty").read() == b""


def test_range(box: Box) -> None:
    for asked, status, body in [
        ("bytes=0-0", 206, b"0"),
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=0-9", 206, b"0123456789"),
        ("bytes=5-10", 200, b"0123456789"),  # the end lies behind the object
        ("bytes=4-2", 200, b"0123456789"),
        ("bytes=x-", 200, b"0123456789"),
    ]:
        box.client().put_object("k", b"0123456789")
        answer = box.send("GET", "k", headers={"Range": asked})
        assert (answer.status_code, answer.content) == (status, body)
        assert answer.headers["x-oss-hash-crc64ecma"] == str(crc64(b"0123456789"))


def test_head_errors_come_in_a_header(box: Box) -> None:
    answer = box.send("HEAD", "missing")
    assert answer.status_code == 404
    assert answer.content == b""
    document = parsed(base64.b64decode(answer.headers["x-oss-err"]))
    assert document.findtext("Code") == "NoSuchKey"
    assert document.findtext("EC") == answer.headers["x-oss-ec"]
    client = box.client(bucket="no-such-bucket")
    refused("NoSuchBucket", 404, lambda: client.head_object("missing"))


def test_conditions(box: Box) -> None:
    etag = box.client().put_object("k", b"x").etag
    ask = {"If-None-Match": f'"{etag}"'}
    assert box.send("GET", "k", headers=ask).status_code == 304
    assert box.send("GET", "k", headers={"If-Match": '"00"'}).status_code == 412
    future = {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    assert box.send("GET", "k", headers=future).status_code == 304
    past = {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}
    assert box.send("GET", "k", headers=past).status_code == 412


def test_deleting(box: Box) -> None:
    client = box.client()
    client.put_object("k", b"x")
    assert client.delete_object("k").status == 204
    assert client.delete_object("k").status == 204  # as documented: no error
    refused("NoSuchKey", 404, lambda: client.get_object("k"))


def test_deleting_many_needs_the_digest(box: Box) -> None:
    client = box.client()
    keys = ["a", "b/ä", "missing"]
    for key in keys[:2]:
        client.put_object(key, b"x")
    assert client.batch_delete_objects(keys).deleted_keys == keys
    assert box.state.objects(BUCKET) == []
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    query = {"delete": ""}
    bare = box.send("POST", query=query, data=body)
    assert (bare.status_code, code_of(bare)) == (400, "MissingArgument")
    digest = base64.b64encode(md5_of(b"other")).decode()
    wrong = box.send("POST", query=query, data=body, headers={"Content-MD5": digest})
    assert code_of(wrong) == "InvalidDigest"


def test_key_rules(box: Box) -> None:
    client = box.client()
    for key in ("k" * 1023, "k\\"):
        assert client.put_object(key, b"x").status == 200
        client.delete_object(key)
    for key in ("k" * 1024, "é" * 512, "/k", "\\k"):  # é has two bytes
        for call in (client.put_object, client.init_multipart_upload):
            data = (b"x",) if call == client.put_object else ()
            refused("InvalidObjectName", 400, partial(call, key, *data))
    assert box.state.objects(BUCKET) == []


def test_content_md5(box: Box) -> None:
    put = partial(box.client().put_object, "k", b"x")
    for digest in (
        base64.b64encode(md5_of(b"y")).decode(),
        "not base64!",
        base64.b64encode(b"short").decode(),
    ):
        refused("InvalidDigest", 400, partial(put, headers={"Content-MD5": digest}))
    assert box.state.objects(BUCKET) == []
    good = base64.b64encode(md5_of(b"x")).decode()
    assert put(headers={"Content-MD5": good}).status == 200


def test_forbidding_to_overwrite(box: Box) -> None:
    client = box.client()
    forbid = {"x-oss-forbid-overwrite": "true"}
    client.put_object("k", b"first", headers=forbid)
    error = refused(
        "FileAlreadyExists", 409, lambda: client.put_object("k", b"2", headers=forbid)
    )
    assert error.message.startswith("The object you specified already exists")
    assert client.get_object("k").read() == b"first"
    client.put_object("k", b"second")
    assert client.get_object("k").read() == b"second"


def test_a_put_of_more_than_5_gb_is_refused_before_it_is_sent(box: Box) -> None:
    answer = box.raw("PUT", "k", f"Content-Length: {(5 << 30) + 1}", body=b"begin")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<Code>EntityTooLarge</Code>" in answer
    assert b"<MaxSizeAllowed>5368709120</MaxSizeAllowed>" in answer


def test_a_put_without_any_length(box: Box) -> None:
    answer = box.raw("PUT", "k")
    assert answer.startswith(b"HTTP/1.1 411 ")
    assert b"<Code>MissingContentLength</Code>" in answer
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    answer = box.raw("PUT", "k", "Transfer-Encoding: chunked", body=chunks)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert box.state.read(BUCKET, "k", 0, 9) == b"abcde"


def test_an_archived_object_cannot_be_read(box: Box) -> None:
    client = box.client()
    for name in ("Archive", "ColdArchive", "DeepColdArchive"):
        client.put_object("k", b"x", headers={"x-oss-storage-class": name})
        assert client.head_object("k").headers["x-oss-storage-class"] == name
        refused("InvalidObjectState", 403, partial(client.get_object, "k"))
    unknown = {"x-oss-storage-class": "Cold"}
    put = partial(client.put_object, "k", b"x", headers=unknown)
    refused("InvalidStorageClass", 400, put)


def test_object_meta_says_little(box: Box) -> None:
    client = box.client()
    client.put_object("k", b"12345")
    meta = client.get_object_meta("k")
    assert meta.content_length == 5
    assert meta.headers["x-oss-hash-crc64ecma"] == str(crc64(b"12345"))
    assert "x-oss-object-type" not in meta.headers


def test_every_answer_has_a_request_id_of_its_own(box: Box) -> None:
    ids = {box.send("GET", "k").headers["x-oss-request-id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("iterator", [oss2.ObjectIterator, oss2.ObjectIteratorV2])
def test_listing(box: Box, iterator: type) -> None:
    keys = ["a", "dir/1", "dir/2/x", "dir+ä/ü&", "e", "z\x01z"]
    client = box.client()
    for key in keys:
        client.put_object(key, key.encode())
    for page in (1, 2, 3, 1000):
        assert [o.key for o in iterator(client, max_keys=page)] == sorted(keys)
        found = list(iterator(client, delimiter="/", max_keys=page))
        expected = ["a", "dir+ä/", "dir/", "e", "z\x01z"]
        assert [item.key for item in found] == expected
        inside = iterator(client, prefix="dir/", delimiter="/", max_keys=page)
        assert [o.key for o in inside] == ["dir/1", "dir/2/"]
    first = next(iter(iterator(client)))
    assert (first.size, first.etag) == (1, md5_of(b"a").hex().upper())
    assert (first.type, first.storage_class) == ("Normal", "Standard")


def test_listing_starts_after(box: Box) -> None:
    client = box.client()
    for key in "abcd":
        client.put_object(key, b"")
    assert [o.key for o in client.list_objects(marker="b").object_list] == ["c", "d"]
    v2 = client.list_objects_v2(start_after="c", max_keys=1)
    assert [o.key for o in v2.object_list] == ["d"]
    assert not v2.is_truncated
    for query in ({"max-keys": "0"}, {"max-keys": "1001"}, {"encoding-type": "x"}):
        assert code_of(box.send("GET", query=query)) == "InvalidArgument"
    bad = {"list-type": "2", "continuation-token": "zz"}
    assert code_of(box.send("GET", query=bad)) == "InvalidArgument"


def test_names_are_not_in_a_namespace(box: Box) -> None:
    box.client().put_object("k", b"")
    body = box.send("GET").content
    assert b"xmlns" not in body
    assert parsed(body).tag == "ListBucketResult"


def test_the_bucket_in_the_host(box: Box) -> None:
    """Virtual-hosted style, as at the real endpoint; the signature is the same."""
    client = box.client()
    client.put_object("dir/k", b"x")
    url = client.sign_url("GET", "dir/k", 60).replace(f"/{BUCKET}/", "/")
    host = {"Host": f"{BUCKET}.oss-ap-southeast-1.aliyuncs.com"}
    assert box.http.get(url, headers=host, timeout=10).content == b"x"
