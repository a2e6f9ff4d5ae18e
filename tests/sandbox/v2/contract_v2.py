"""What the sandbox owes the vendor's v2 SDK, which runs here unmodified.

`test_contract_v2.py` runs this in an environment that has alibabacloud-oss-v2 and
pytest, without preflight: oss2's crcmod and the v2 SDK's overwrite each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import alibabacloud_oss_v2 as oss  # type: ignore[import-not-found, unused-ignore]
import pytest
from alibabacloud_oss_v2.crc import (  # type: ignore[import-not-found, unused-ignore]
    Crc64,
)

BUCKET = os.environ["CONTRACT_BUCKET"]
PART = 100 << 10  # bytes: the smallest part but the last
LARGE = os.urandom(5 * PART + 7)


def make_client(*, secret: str = "", version: str = "v4") -> oss.Client:
    """The SDK pointed at the sandbox, CRC verification on as by default."""
    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider(
        os.environ["OSS_ACCESS_KEY_ID"],
        secret or os.environ["OSS_ACCESS_KEY_SECRET"],
    )
    config.region = os.environ["OSS_REGION"]
    config.endpoint = os.environ["OSS_ENDPOINT"]
    config.signature_version = version
    return oss.Client(config)


@pytest.fixture(params=["v4", "v1"])
def client(request: pytest.FixtureRequest) -> oss.Client:
    return make_client(version=request.param)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(LARGE)
    return path


def crc_of(data: bytes) -> str:
    summed = Crc64(0)
    summed.write(data)
    return str(summed.sum64())


def put(client: oss.Client, key: str, data: bytes) -> oss.PutObjectResult:
    return client.put_object(oss.PutObjectRequest(bucket=BUCKET, key=key, body=data))


def read(client: oss.Client, key: str, span: str | None = None) -> bytes:
    request = oss.GetObjectRequest(bucket=BUCKET, key=key, range_header=span)
    with client.get_object(request).body as body:
        return bytes(body.read())


def refusal(call: Callable[[], object]) -> oss.exceptions.ServiceError:
    """The service's error that a call must end with."""
    with pytest.raises(oss.exceptions.OperationError) as caught:
        call()
    error = caught.value.unwrap()
    assert isinstance(error, oss.exceptions.ServiceError)
    return error


@pytest.mark.parametrize("data", [b"", b"{}", os.urandom(70_000)])
def test_put_then_head_then_get(client: oss.Client, data: bytes) -> None:
    made = put(client, "a/small + %.bin", data)
    assert made.status_code == 200
    assert made.hash_crc64 == crc_of(data)
    request = oss.HeadObjectRequest(bucket=BUCKET, key="a/small + %.bin")
    head = client.head_object(request)
    assert (head.content_length, head.hash_crc64) == (len(data), crc_of(data))
    assert (head.etag, head.object_type) == (made.etag, "Normal")
    assert head.storage_class == "Standard"
    assert read(client, "a/small + %.bin") == data


def test_forbidden_overwrite(client: oss.Client) -> None:
    put(client, "taken", b"first")
    request = oss.PutObjectRequest(
        bucket=BUCKET, key="taken", body=b"second", forbid_overwrite=True
    )
    error = refusal(lambda: client.put_object(request))
    assert (error.status_code, error.code) == (409, "FileAlreadyExists")
    assert read(client, "taken") == b"first"


@pytest.mark.parametrize(
    ("span", "first", "last"),
    [("bytes=0-0", 0, 1), ("bytes=3-9", 3, 10), ("bytes=95-", 95, 100)],
)
def test_get_range(client: oss.Client, span: str, first: int, last: int) -> None:
    data = os.urandom(100)
    put(client, "ranged", data)
    assert read(client, "ranged", span) == data[first:last]


def test_get_to_a_file_verifies_the_crc(client: oss.Client, tmp_path: Path) -> None:
    put(client, "whole", LARGE)
    request = oss.GetObjectRequest(bucket=BUCKET, key="whole")
    client.get_object_to_file(request, str(tmp_path / "whole"))
    assert (tmp_path / "whole").read_bytes() == LARGE


@pytest.mark.parametrize("parallel", [1, 3])
def test_uploader(client: oss.Client, large: Path, parallel: int) -> None:
    request = oss.PutObjectRequest(bucket=BUCKET, key="up/model.bin")
    uploader = client.uploader(part_size=PART, parallel_num=parallel)
    made = uploader.upload_file(request, str(large))
    assert made.hash_crc64 == crc_of(LARGE)
    head = client.head_object(oss.HeadObjectRequest(bucket=BUCKET, key="up/model.bin"))
    assert (head.content_length, head.hash_crc64) == (len(LARGE), crc_of(LARGE))
    assert head.object_type == "Multipart"
    assert head.etag == made.etag
    assert head.etag.strip('"').endswith("-6")
    assert read(client, "up/model.bin") == LARGE


class Stopped(Exception):
    """The upload is broken off here."""


def test_uploader_resumes(client: oss.Client, large: Path, tmp_path: Path) -> None:
    key, seen = "up/resumed.bin", list[int]()
    client.delete_object(oss.DeleteObjectRequest(bucket=BUCKET, key=key))

    def stop(_: int, written: int, __: int) -> None:
        if written >= 2 * PART:
            raise Stopped

    def watch(_: int, written: int, __: int) -> None:
        seen.append(written)

    uploader = client.uploader(
        part_size=PART,
        parallel_num=1,
        enable_checkpoint=True,
        checkpoint_dir=f"{tmp_path}/",
    )
    first = oss.PutObjectRequest(bucket=BUCKET, key=key, progress_fn=stop)
    with pytest.raises(Stopped):
        uploader.upload_file(first, str(large))
    assert not client.is_object_exist(BUCKET, key)
    again = oss.PutObjectRequest(bucket=BUCKET, key=key, progress_fn=watch)
    made = uploader.upload_file(again, str(large))
    assert made.hash_crc64 == crc_of(LARGE)
    assert seen == [3 * PART, 4 * PART, 5 * PART, len(LARGE)]  # two were not sent again
    assert read(client, key) == LARGE


def start(client: oss.Client, key: str, *parts: bytes) -> tuple[str, list[str]]:
    """A multipart upload with these parts; its id and the parts' ETags."""
    request = oss.InitiateMultipartUploadRequest(bucket=BUCKET, key=key)
    upload_id = str(client.initiate_multipart_upload(request).upload_id)
    etags = []
    for number, data in enumerate(parts, 1):
        part = oss.UploadPartRequest(
            bucket=BUCKET, key=key, upload_id=upload_id, part_number=number, body=data
        )
        made = client.upload_part(part)
        assert made.hash_crc64 == crc_of(data)
        etags.append(str(made.etag))
    return upload_id, etags


def uploads(client: oss.Client, prefix: str) -> list[tuple[str, str]]:
    pages = client.list_multipart_uploads_paginator().iter_page(
        oss.ListMultipartUploadsRequest(bucket=BUCKET, prefix=prefix, max_uploads=1)
    )
    return [(one.key, one.upload_id) for page in pages for one in page.uploads or ()]


def test_listing_parts_and_uploads_then_abort(client: oss.Client) -> None:
    data = (b"\1" * PART, b"\2" * 5, b"\3" * 6)
    upload_id, etags = start(client, "many/a", *data)
    other, _ = start(client, "many/b")
    assert uploads(client, "many/") == [("many/a", upload_id), ("many/b", other)]
    pages = client.list_parts_paginator().iter_page(
        oss.ListPartsRequest(
            bucket=BUCKET, key="many/a", upload_id=upload_id, max_parts=2
        )
    )
    parts = [part for page in pages for part in page.parts]
    assert [part.part_number for part in parts] == [1, 2, 3]
    assert [part.size for part in parts] == [PART, 5, 6]
    assert [part.etag for part in parts] == etags
    assert [part.hash_crc64 for part in parts] == [crc_of(one) for one in data]
    for key, one in (("many/a", upload_id), ("many/b", other)):
        client.abort_multipart_upload(
            oss.AbortMultipartUploadRequest(bucket=BUCKET, key=key, upload_id=one)
        )
    assert uploads(client, "many/") == []


def test_too_small_a_part_is_refused_at_completion(client: oss.Client) -> None:
    upload_id, etags = start(client, "small-parts", b"\1" * (PART - 1), b"\2")
    parts = [
        oss.UploadPart(part_number=number, etag=etag)
        for number, etag in enumerate(etags, 1)
    ]
    error = refusal(
        lambda: client.complete_multipart_upload(
            oss.CompleteMultipartUploadRequest(
                bucket=BUCKET,
                key="small-parts",
                upload_id=upload_id,
                complete_multipart_upload=oss.CompleteMultipartUpload(parts=parts),
            )
        )
    )
    assert (error.status_code, error.code) == (400, "EntityTooSmall")
    client.abort_multipart_upload(
        oss.AbortMultipartUploadRequest(
            bucket=BUCKET, key="small-parts", upload_id=upload_id
        )
    )
    assert not client.is_object_exist(BUCKET, "small-parts")


@pytest.mark.parametrize("page", [1, 2, 100])
def test_listing_in_pages(client: oss.Client, page: int) -> None:
    names = ["list/ä.json", "list/a b", "list/c&d", "list/sub/e"]
    for name in names:
        put(client, name, name.encode())
    request = oss.ListObjectsV2Request(bucket=BUCKET, prefix="list/", max_keys=page)
    found = [
        (item.key, item.size)
        for one in client.list_objects_v2_paginator().iter_page(request)
        for item in one.contents or ()
    ]
    wanted = sorted(names, key=lambda name: name.encode())
    assert found == [(name, len(name.encode())) for name in wanted]
    old = oss.ListObjectsRequest(bucket=BUCKET, prefix="list/", max_keys=page)
    assert wanted == [
        item.key
        for one in client.list_objects_paginator().iter_page(old)
        for item in one.contents or ()
    ]


def test_listing_with_a_delimiter(client: oss.Client) -> None:
    for name in ("tree/a", "tree/sub/b", "tree/sub/c"):
        put(client, name, b"1")
    request = oss.ListObjectsV2Request(bucket=BUCKET, prefix="tree/", delimiter="/")
    page = client.list_objects_v2(request)
    assert [item.key for item in page.contents] == ["tree/a"]
    assert [found.prefix for found in page.common_prefixes] == ["tree/sub/"]


def test_delete(client: oss.Client) -> None:
    put(client, "gone", b"1")
    request = oss.DeleteObjectRequest(bucket=BUCKET, key="gone")
    assert client.delete_object(request).status_code == 204
    assert not client.is_object_exist(BUCKET, "gone")
    assert client.delete_object(request).status_code == 204  # nothing there is fine


def test_delete_many(client: oss.Client) -> None:
    names = ["heap/a", "heap/b&c", "heap/never was"]
    for name in names[:2]:
        put(client, name, b"1")
    request = oss.DeleteMultipleObjectsRequest(
        bucket=BUCKET, objects=[oss.DeleteObject(key=name) for name in names]
    )
    client.delete_multiple_objects(request)
    left = oss.ListObjectsV2Request(bucket=BUCKET, prefix="heap/")
    assert not client.list_objects_v2(left).contents


def test_bucket_tags(client: oss.Client) -> None:
    request = oss.GetBucketTagsRequest(bucket=BUCKET)
    before = client.get_bucket_tags(request).tagging
    tags = oss.TagSet(tags=[oss.Tag(key="team", value="größe & co")])
    client.put_bucket_tags(
        oss.PutBucketTagsRequest(bucket=BUCKET, tagging=oss.Tagging(tag_set=tags))
    )
    found = client.get_bucket_tags(request).tagging.tag_set.tags
    assert [(tag.key, tag.value) for tag in found] == [("team", "größe & co")]
    client.delete_bucket_tags(oss.DeleteBucketTagsRequest(bucket=BUCKET))
    emptied = client.get_bucket_tags(request).tagging
    assert not (emptied.tag_set and emptied.tag_set.tags)
    client.put_bucket_tags(oss.PutBucketTagsRequest(bucket=BUCKET, tagging=before))


def test_bucket_info(client: oss.Client) -> None:
    info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket=BUCKET)).bucket_info
    assert info.name == BUCKET
    assert info.location == f"oss-{os.environ['OSS_REGION']}"
    assert info.storage_class == "Standard"


def test_a_missing_object(client: oss.Client) -> None:
    error = refusal(lambda: read(client, "never/was"))
    assert (error.status_code, error.code) == (404, "NoSuchKey")
    assert error.request_id
    head = oss.HeadObjectRequest(bucket=BUCKET, key="never/was")
    error = refusal(lambda: client.head_object(head))
    assert (error.status_code, error.code) == (404, "NoSuchKey")


def test_a_missing_bucket(client: oss.Client) -> None:
    request = oss.HeadObjectRequest(bucket="bucket-that-never-was", key="k")
    error = refusal(lambda: client.head_object(request))
    assert (error.status_code, error.code) == (404, "NoSuchBucket")


def test_a_wrong_secret() -> None:
    stranger = make_client(secret="not-the-secret")
    error = refusal(lambda: put(stranger, "k", b"1"))
    assert (error.status_code, error.code) == (403, "SignatureDoesNotMatch")
