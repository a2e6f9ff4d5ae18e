"""OSS as its documentation has it, spoken with the vendor's oss2."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import oss2
import pytest

from preflight.crc import crc64
from tests.contract.service import Service

PART = 100 << 10
DATA = bytes(range(256)) * 1500 + b"end"  # three whole parts and a rest


# oss2 does not read the answers to HEAD and 204 to their end; with its exceptions they
# make cycles, and the collector may find the socket before the response that closes it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def nothing_left_to_collect() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def folder(service: Service) -> str:
    return f"{service.prefix}{uuid.uuid4()}/"


@pytest.fixture
def client(service: Service) -> oss2.Bucket:
    return service.client()


def refused(kind: type[oss2.exceptions.ServerError], call: Callable[[], object]) -> str:
    """The code of the error that a call must raise; it carries what support asks."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.value.request_id
    return str(caught.value.code)


def test_put_get_head_delete(client: oss2.Bucket, folder: str) -> None:
    """developer-reference/putobject, getobject, headobject, deleteobject."""
    made = client.put_object(f"{folder}k", DATA)
    assert made.crc == crc64(DATA)
    assert client.get_object(f"{folder}k").read() == DATA
    assert client.get_object(f"{folder}k", byte_range=(1, 3)).read() == DATA[1:4]
    head = client.head_object(f"{folder}k")
    assert (head.content_length, head.etag) == (len(DATA), made.etag)
    assert client.get_object_meta(f"{folder}k").content_length == len(DATA)
    client.delete_object(f"{folder}k")
    assert not client.object_exists(f"{folder}k")
    missing = oss2.exceptions.NoSuchKey
    assert refused(missing, lambda: client.get_object(f"{folder}k")) == "NoSuchKey"


@pytest.mark.parametrize("threads", [1, 4])
def test_resumable_upload(
    client: oss2.Bucket, folder: str, tmp_path: Path, threads: int
) -> None:
    """user-guide/multipart-upload; the SDK compares the CRC of each part."""
    source = tmp_path / "weights.bin"
    source.write_bytes(DATA)
    made = oss2.resumable_upload(
        client,
        f"{folder}k",
        os.fspath(source),
        store=oss2.ResumableStore(root=os.fspath(tmp_path)),
        multipart_threshold=PART,
        part_size=PART,
        num_threads=threads,
    )
    assert made.crc == crc64(DATA)
    assert made.etag.endswith("-4")
    assert client.get_object(f"{folder}k").read() == DATA


def test_multipart_step_by_step(client: oss2.Bucket, folder: str) -> None:
    """developer-reference/initiatemultipartupload, uploadpart, listparts, ..."""
    key = f"{folder}k"
    upload_id = client.init_multipart_upload(key).upload_id
    parts = []
    for number, start in enumerate(range(0, len(DATA), PART), 1):
        piece = DATA[start : start + PART]
        made = client.upload_part(key, upload_id, number, piece)
        assert made.crc == crc64(piece)
        parts.append(oss2.models.PartInfo(number, made.etag))
    listed = list(oss2.PartIterator(client, key, upload_id, max_parts=2))
    assert [(p.part_number, p.etag) for p in listed] == [
        (p.part_number, p.etag) for p in parts
    ]
    assert sum(part.size for part in listed) == len(DATA)
    done = client.complete_multipart_upload(key, upload_id, parts)
    assert done.crc == crc64(DATA)
    gone = oss2.exceptions.NoSuchUpload
    code = refused(gone, lambda: client.list_parts(key, upload_id))
    assert code == "NoSuchUpload"


def test_abort(client: oss2.Bucket, folder: str) -> None:
    """developer-reference/abortmultipartupload."""
    key = f"{folder}k"
    upload_id = client.init_multipart_upload(key).upload_id
    client.upload_part(key, upload_id, 1, b"x")
    client.abort_multipart_upload(key, upload_id)
    gone = oss2.exceptions.NoSuchUpload
    refused(gone, lambda: client.upload_part(key, upload_id, 2, b"x"))
    assert list(oss2.MultipartUploadIterator(client, prefix=folder)) == []


def test_iterators(client: oss2.Bucket, folder: str) -> None:
    """developer-reference/listobjects, listobjectsv2, listmultipartuploads."""
    names = [f"{folder}{name}" for name in ("a", "b", "sub/c", "sub/d e", "z")]
    for name in names:
        client.put_object(name, b"x")
    for kind in (oss2.ObjectIterator, oss2.ObjectIteratorV2):
        found = list(kind(client, prefix=folder, max_keys=2))
        assert [item.key for item in found] == names
        assert {item.size for item in found} == {1}
        tops = list(kind(client, prefix=folder, delimiter="/", max_keys=2))
        assert [item.key for item in tops if item.is_prefix()] == [f"{folder}sub/"]
    begun = {client.init_multipart_upload(f"{folder}up").upload_id for _ in range(3)}
    uploads = oss2.MultipartUploadIterator(client, prefix=folder, max_uploads=1)
    assert {item.upload_id for item in uploads} == begun
    one = oss2.ObjectUploadIterator(client, f"{folder}up", max_uploads=2)
    assert {item.upload_id for item in one} == begun


def test_delete_several(client: oss2.Bucket, folder: str) -> None:
    """developer-reference/deletemultipleobjects."""
    names = [f"{folder}{name}" for name in ("a", "b&c", "d e")]
    for name in names:
        client.put_object(name, b"x")
    done = client.batch_delete_objects(names[:2])
    assert sorted(done.deleted_keys) == sorted(names[:2])
    left = [item.key for item in oss2.ObjectIterator(client, prefix=folder)]
    assert left == names[2:]


def test_forbid_overwrite(client: oss2.Bucket, folder: str) -> None:
    """user-guide/0042-00000214."""
    headers = {"x-oss-forbid-overwrite": "true"}
    client.put_object(f"{folder}k", b"first", headers=headers)
    error = oss2.exceptions.ServerError
    code = refused(
        error, lambda: client.put_object(f"{folder}k", b"second", headers=headers)
    )
    assert code == "FileAlreadyExists"
    assert client.get_object(f"{folder}k").read() == b"first"


def test_about_the_bucket(service: Service, client: oss2.Bucket) -> None:
    """developer-reference/getbucketinfo, getbucketlocation, getbucketacl, ...tags."""
    info = client.get_bucket_info()
    assert info.name == service.bucket
    assert info.location == f"oss-{service.keys.region}"
    assert client.get_bucket_location().location == info.location
    assert client.get_bucket_acl().acl == info.acl.grant
    tags = client.get_bucket_tagging().tag_set.tagging_rule
    assert all(isinstance(item, str) for pair in tags.items() for item in pair)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"secret": "wrong"}, 403, "SignatureDoesNotMatch"),
        ({"id": "LTAI5tNoSuchKeyAtAll0000"}, 403, "InvalidAccessKeyId"),
        ({"region": "eu-central-1"}, 400, "InvalidArgument"),
    ],
)
def test_refusals(
    service: Service, changed: dict[str, str], status: int, code: str
) -> None:
    """user-guide/error-responses."""
    stranger = service.client(replace(service.keys, **changed))  # type: ignore[arg-type]
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        stranger.put_object(f"{service.prefix}k", b"x")
    assert (caught.value.status, caught.value.code) == (status, code)
