from __future__ import annotations

from pathlib import Path

import oss2
import pytest

from preflight.crc import crc64
from preflight.sandbox.oss import OssState, checks
from tests.depth import examples
from tests.sandbox.oss.box import BUCKET, PART, Box, code_of, parsed, refused


def begin(client: oss2.Bucket, *sizes: int) -> tuple[str, list[oss2.models.PartInfo]]:
    upload_id = client.init_multipart_upload("k").upload_id
    return upload_id, [
        oss2.models.PartInfo(
            n, client.upload_part("k", upload_id, n, bytes([n]) * size).etag
        )
        for n, size in enumerate(sizes, 1)
    ]


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("threads", [1, 4])
def test_resumable_upload(box: Box, tmp_path: Path, v1: bool, threads: int) -> None:
    data = bytes(range(256)) * 2000 + b"end"
    source = tmp_path / "model.bin"
    source.write_bytes(data)
    client = box.client(v1=v1)
    made = oss2.resumable_upload(
        client,
        "dir/model.bin",
        str(source),
        store=oss2.ResumableStore(root=str(tmp_path)),
        multipart_threshold=PART,
        part_size=PART,
        num_threads=threads,
    )
    assert made.crc == crc64(data)
    head = client.head_object("dir/model.bin")
    assert head.headers["x-oss-object-type"] == "Multipart"
    assert head.headers["x-oss-hash-crc64ecma"] == str(crc64(data))
    assert head.etag.endswith("-6")
    assert client.get_object("dir/model.bin").read() == data
    span = client.get_object("dir/model.bin", byte_range=(PART - 2, PART + 1)).read()
    assert span == data[PART - 2 : PART + 2]
    assert box.endpoint.log_calls.count("UploadPart") == 6
    assert box.endpoint.log_calls.bytes_received("UploadPart") == len(data)


def test_nothing_is_visible_before_completion(box: Box) -> None:
    client = box.client()
    upload_id, parts = begin(client, PART, 1)
    assert box.state.objects(BUCKET) == []
    refused("NoSuchKey", 404, lambda: client.head_object("k"))
    client.complete_multipart_upload("k", upload_id, parts)
    assert [item.key for item in box.state.objects(BUCKET)] == ["k"]
    assert box.state.uploads(BUCKET) == []
    refused(
        "NoSuchUpload",
        404,
        lambda: client.complete_multipart_upload("k", upload_id, parts),
    )


def test_listed_parts_carry_their_crc(box: Box) -> None:
    client = box.client()
    upload_id, _ = begin(client, PART, 7)
    root = parsed(box.send("GET", "k", query={"uploadId": upload_id}).content)
    crcs = [part.findtext("HashCrc64ecma") for part in root.findall("Part")]
    assert crcs == [str(crc64(b"\1" * PART)), str(crc64(b"\2" * 7))]
    etags = [part.findtext("ETag") or "" for part in root.findall("Part")]
    assert all(etag == f'"{etag[1:-1].upper()}"' for etag in etags)


def test_listing_parts_in_pages(box: Box) -> None:
    for page in [1, 2, 1000]:
        client = box.client()
        upload_id, _ = begin(client, 1, 2, 3)
        found = list(oss2.PartIterator(client, "k", upload_id, max_parts=page))
        assert [(part.part_number, part.size) for part in found] == [
            (1, 1),
            (2, 2),
            (3, 3),
        ]


def test_a_part_sent_again_replaces_the_first(box: Box) -> None:
    client = box.client()
    upload_id, parts = begin(client, PART, 3)
    again = client.upload_part("k", upload_id, 2, b"new")
    refused(
        "InvalidPart",
        400,
        lambda: client.complete_multipart_upload("k", upload_id, parts),
    )
    parts[1] = oss2.models.PartInfo(2, again.etag)
    client.complete_multipart_upload("k", upload_id, parts)
    assert client.get_object("k").read() == b"\1" * PART + b"new"


def test_small_parts_are_refused_at_completion_alone(box: Box) -> None:
    client = box.client()
    upload_id, parts = begin(client, PART - 1, PART)
    error = refused(
        "EntityTooSmall",
        400,
        lambda: client.complete_multipart_upload("k", upload_id, parts),
    )
    assert error.details["PartNumber"] == "1"
    assert error.details["ProposedSize"] == str(PART - 1)
    assert error.details["MinSizeAllowed"] == str(PART)
    assert len(box.state.uploads(BUCKET)) == 1


def test_order_and_gaps(box: Box) -> None:
    client = box.client()
    upload_id, parts = begin(client, PART, PART, PART)

    def complete(*chosen: oss2.models.PartInfo) -> str:
        """By hand: oss2 sorts the parts before it sends them."""
        body = "".join(
            f"<Part><PartNumber>{part.part_number}</PartNumber>"
            f"<ETag>{part.etag}</ETag></Part>"
            for part in chosen
        )
        whole = f"<CompleteMultipartUpload>{body}</CompleteMultipartUpload>".encode()
        answer = box.send("POST", "k", query={"uploadId": upload_id}, data=whole)
        return code_of(answer) if answer.status_code == 400 else ""

    first, second, third = parts
    assert complete(second, first) == "InvalidPartOrder"
    assert complete(first, first) == "InvalidPartOrder"
    assert complete(first, oss2.models.PartInfo(9, first.etag)) == "InvalidPart"
    assert complete(first, oss2.models.PartInfo(2, first.etag)) == "InvalidPart"
    assert complete() == "MalformedXML"
    assert complete(first, third) == ""  # a part that is not named is dropped
    assert client.get_object("k").read() == b"\1" * PART + b"\3" * PART


def test_a_completion_that_is_no_xml(box: Box) -> None:
    upload_id, _ = begin(box.client(), PART)
    query = {"uploadId": upload_id}
    for body in (b"", b"{}", b"<Other/>", b"<!DOCTYPE a><CompleteMultipartUpload/>"):
        answer = box.send("POST", "k", query=query, data=body)
        assert (answer.status_code, code_of(answer)) == (400, "MalformedXML")


def test_part_numbers(box: Box) -> None:
    for number, good in [
        ("1", True),
        ("10000", True),
        ("0", False),
        ("10001", False),
        ("x", False),
    ]:
        upload_id, _ = begin(box.client())
        query = {"uploadId": upload_id, "partNumber": number}
        answer = box.send("PUT", "k", query=query, data=b"x")
        assert answer.status_code == (200 if good else 400)
        if not good:
            assert code_of(answer) == "InvalidArgument"


def test_a_part_of_more_than_5_gb(box: Box) -> None:
    upload_id, _ = begin(box.client())
    query = {"uploadId": upload_id, "partNumber": "1"}
    size = f"Content-Length: {(5 << 30) + 1}"
    answer = box.raw("PUT", "k", size, query=query, body=b"begin")
    assert b"<Code>EntityTooLarge</Code>" in answer


def test_forbidding_to_overwrite(box: Box) -> None:
    client = box.client()
    forbid = {"x-oss-forbid-overwrite": "true"}
    upload_id, parts = begin(client, 3)
    client.put_object("k", b"first")

    def complete() -> object:
        return client.complete_multipart_upload("k", upload_id, parts, headers=forbid)

    refused("FileAlreadyExists", 409, complete)
    refused(
        "FileAlreadyExists",
        409,
        lambda: client.init_multipart_upload("k", headers=forbid),
    )
    assert client.get_object("k").read() == b"first"
    client.delete_object("k")
    complete()
    assert client.get_object("k").read() == b"\1\1\1"


def test_aborting(box: Box) -> None:
    client = box.client()
    upload_id, _ = begin(client, 5)
    assert client.abort_multipart_upload("k", upload_id).status == 204
    for call in (
        lambda: client.abort_multipart_upload("k", upload_id),
        lambda: client.upload_part("k", upload_id, 1, b"x"),
        lambda: client.list_parts("k", upload_id),
        lambda: client.list_parts("other", begin(client)[0]),
    ):
        refused("NoSuchUpload", 404, call)


def test_listing_uploads(box: Box) -> None:
    client = box.client()
    keys = ["a", "a", "b/1", "b/2", "c ü+"]
    ids = {client.init_multipart_upload(key).upload_id for key in keys}
    for page in (1, 2, 1000):
        found = list(oss2.MultipartUploadIterator(client, max_uploads=page))
        assert [item.key for item in found] == keys
        assert {item.upload_id for item in found} == ids
        below = oss2.MultipartUploadIterator(client, prefix="b/", max_uploads=page)
        assert [item.key for item in below] == ["b/1", "b/2"]
        grouped = client.list_multipart_uploads(delimiter="/", max_uploads=1000)
        assert grouped.prefix_list == ["b/"]
        assert [item.key for item in grouped.upload_list] == ["a", "a", "c ü+"]


def test_parts_up_to_the_ten_thousandth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth of them; in `make fuzz` all."""
    numbers = range(10_000, 0, -10 if examples(1) == 1 else -1)[::-1]
    monkeypatch.setattr(checks, "MIN_PART", 1)  # else they would be a gigabyte
    state = OssState(digests=True)
    try:
        state.create_bucket(BUCKET)
        upload = state.initiate(BUCKET, "k")
        listed = []
        for number in numbers:
            part = state.put_part(BUCKET, "k", upload.id, number, [b"1"], size=1)
            listed.append((number, part.etag))
        made = state.complete(BUCKET, "k", upload.id, listed)
    finally:
        state.close()
    assert made.size == len(numbers)
    assert made.etag.endswith(f"-{len(numbers)}")
