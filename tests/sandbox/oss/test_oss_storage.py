from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import oss2
import pytest

from preflight.crc import crc64
from preflight.errors import ConfigurationError
from preflight.sandbox.database import FILE, Database
from preflight.sandbox.faults import Fault, FaultPlan
from preflight.sandbox.oss import ContentNotKept, OssError, OssState
from preflight.sandbox.oss.storage import HEAD, SMALL
from tests.sandbox.oss.box import (
    BUCKET,
    PART,
    REGION,
    Box,
    Clock,
    refused,
    serving,
)

MIB = 1 << 20
GET = {"service": "oss", "operation": "GetObject"}


def upload(state: OssState, key: str, *parts: bytes) -> None:
    opened = state.initiate(BUCKET, key)
    listed = [
        (n, state.put_part(BUCKET, key, opened.id, n, [data], size=len(data)).etag)
        for n, data in enumerate(parts, 1)
    ]
    state.complete(BUCKET, key, opened.id, listed)


def files(directory: Path) -> set[str]:
    return {path.name for path in (directory / "bodies").iterdir()}


def test_completing_copies_nothing(tmp_path: Path) -> None:
    state = OssState(directory=tmp_path)
    state.create_bucket(BUCKET)
    opened = state.initiate(BUCKET, "k")
    parts = [bytes([n]) * PART for n in (1, 2, 3)]
    listed = [
        (n, state.put_part(BUCKET, "k", opened.id, n, [data]).etag)
        for n, data in enumerate(parts, 1)
    ]
    before = files(tmp_path)
    state.complete(BUCKET, "k", opened.id, listed)
    assert files(tmp_path) == before
    assert state.read(BUCKET, "k", PART - 1, 2) == b"\1\2"
    assert state.read(BUCKET, "k", 0, 9 * PART) == b"".join(parts)
    state.delete(BUCKET, "k")
    assert files(tmp_path) == set()
    state.close()


def test_a_directory_can_be_opened_again(tmp_path: Path) -> None:
    state = OssState(directory=tmp_path)
    state.create_bucket(BUCKET, storage_class="IA", tags={"a": "b"})
    state.put(BUCKET, "gone", [b"x"])
    state.put(BUCKET, "kept/ü", [b"hello"])
    state.delete(BUCKET, "gone")
    upload(state, "whole", b"a" * PART, b"b")
    opened = state.initiate(BUCKET, "open")
    state.put_part(BUCKET, "open", opened.id, 7, [b"part"])
    state.close()
    (tmp_path / "bodies" / "orphan").write_bytes(b"of a killed run")

    again = OssState(directory=tmp_path)
    bucket = again.bucket(BUCKET)
    assert (bucket.storage_class, bucket.tags) == ("IA", {"a": "b"})
    found = {item.key: item for item in again.objects(BUCKET)}
    assert sorted(found) == ["kept/ü", "whole"]
    assert found["kept/ü"].crc64 == crc64(b"hello")
    assert again.read(BUCKET, "whole", PART - 1, 9) == b"ab"
    (part,) = again.parts(BUCKET, "open", opened.id)
    again.complete(BUCKET, "open", opened.id, [(7, part.etag)])
    assert again.read(BUCKET, "open", 0, 9) == b"part"
    assert "orphan" not in files(tmp_path)
    again.close()


def test_a_directory_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path) -> None:
    old, damaged, used = (tmp_path / name for name in ("old", "damaged", "used"))
    for folder in (old / "oss", damaged):
        folder.mkdir(parents=True)
    (old / "oss/index.jsonl").write_text("[]\n", "utf-8")
    (damaged / FILE).write_bytes(b"SQLite format 3\0" + b"nonsense" * 4096)
    holder = Database(used)
    for folder, words in (
        (old, "holds the state of another version"),
        (damaged, "cannot be used"),
        (used, "another sandbox uses"),
    ):
        with pytest.raises(ConfigurationError, match=words) as caught:
            Database(folder)
        assert str(folder) in caught.value.message
        assert caught.value.hint
    holder.close()
    Database(used).close()


def test_a_body_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"begin"
        raise ConnectionError

    state = OssState(directory=tmp_path)
    state.create_bucket(BUCKET)
    state.put(BUCKET, "k", [b"old"])
    before = files(tmp_path)
    with pytest.raises(ConnectionError):
        state.put(BUCKET, "k", broken())
    assert state.read(BUCKET, "k", 0, 9) == b"old"
    assert files(tmp_path) == before
    state.close()


def test_a_reader_goes_on_while_the_object_is_replaced(tmp_path: Path) -> None:
    state = OssState(directory=tmp_path)
    state.create_bucket(BUCKET)
    first = b"1" * (3 * MIB)
    upload(state, "k", first, b"end")
    pieces = state.stream(state.object(BUCKET, "k"), 0, len(first) + 3)
    begun = next(pieces)
    state.put(BUCKET, "k", [b"second"])
    assert begun + b"".join(pieces) == first + b"end"
    assert len(files(tmp_path)) == 1
    state.close()


def test_a_copy_shares_its_bytes_and_holds_nothing_back(box: Box) -> None:
    client = box.client()
    client.put_object("a", b"1" * PART)
    for key in ("b", "a"):  # onto itself, too
        client.copy_object(BUCKET, "a", key)
    assert len(files(box.state.directory)) == 1
    upload_id = client.init_multipart_upload("c").upload_id
    client.upload_part_copy(BUCKET, "a", (0, 9), "c", upload_id, 1)
    whole = (0, PART - 1)
    refused(
        "NoSuchUpload",
        404,
        lambda: client.upload_part_copy(BUCKET, "a", whole, "c", "0" * 32, 1),
    )
    lost = {**GET, "action": "cut", "at": "after"}
    box.plan.add(Fault.from_json(lost))
    with pytest.raises(oss2.exceptions.RequestError):
        client.get_object("a")
    assert client.get_object("b").read() == b"1" * PART
    for key in ("a", "b"):
        client.delete_object(key)
    client.abort_multipart_upload("c", upload_id)
    assert files(box.state.directory) == set()


def test_an_upload_that_vanishes_while_its_part_arrives(tmp_path: Path) -> None:
    state = OssState(directory=tmp_path)
    state.create_bucket(BUCKET)
    opened = state.initiate(BUCKET, "k")

    def aborted() -> Iterator[bytes]:
        yield b"begin"
        state.abort(BUCKET, "k", opened.id)
        yield b"end"

    with pytest.raises(OssError, match="NoSuchUpload"):
        state.put_part(BUCKET, "k", opened.id, 1, aborted())
    assert files(tmp_path) == set()
    state.close()


def test_digests_keep_what_headers_need(tmp_path: Path) -> None:
    state = OssState(directory=tmp_path, digests=True)
    state.create_bucket(BUCKET)
    small, large = b"s" * SMALL, os.urandom(1 << 10) * (17 << 10)
    state.put(BUCKET, "small", [small], size=len(small))
    state.put(BUCKET, "large", [large], size=len(large))
    assert state.read(BUCKET, "small", 0, 2 * SMALL) == small
    assert state.read(BUCKET, "large", 0, HEAD) == large[:HEAD]
    assert state.object(BUCKET, "large").crc64 == crc64(large)
    with pytest.raises(ContentNotKept):
        state.read(BUCKET, "large", HEAD, 1)
    state.close()


def test_digests_of_a_multipart_upload(tmp_path: Path) -> None:
    state = OssState(directory=tmp_path, digests=True)
    state.create_bucket(BUCKET)
    parts = [os.urandom(1 << 10) * (6 << 10) for _ in range(5)]
    upload(state, "k", *parts, b"end")
    whole = b"".join(parts) + b"end"
    made = state.object(BUCKET, "k")
    assert (made.size, made.crc64) == (len(whole), crc64(whole))
    assert state.read(BUCKET, "k", 0, HEAD) == whole[:HEAD]
    assert state.read(BUCKET, "k", len(whole) - 3, 3) == b"end"
    with pytest.raises(ContentNotKept):
        state.read(BUCKET, "k", HEAD - 1, 2)
    kept = sum(path.stat().st_size for path in (tmp_path / "bodies").iterdir())
    assert kept == HEAD + 3
    state.close()


def test_content_that_was_not_kept_is_a_501() -> None:
    clock = Clock()
    state = OssState(digests=True, region=REGION, clock=clock)
    with serving(state, FaultPlan(), clock) as box:
        large = bytes(HEAD + 1)
        state.put(BUCKET, "k", [large], size=len(large))
        answer = box.send("GET", "k")
        assert answer.status_code == 501
        assert "not kept" in answer.text
        head = box.send("GET", "k", headers={"Range": "bytes=0-7"})
        assert (head.status_code, head.content) == (206, bytes(8))


def test_changes_are_announced() -> None:
    state = OssState()
    seen: list[tuple[str, str]] = []
    state.create_bucket(BUCKET)
    state.on_change(lambda bucket, key: seen.append((bucket, key)))
    state.put(BUCKET, "a", [b"x"])
    upload(state, "b", b"y")
    state.delete(BUCKET, "a")
    state.delete(BUCKET, "a")
    state.close()
    assert seen == [(BUCKET, "a"), (BUCKET, "b"), (BUCKET, "a")]


def test_a_temporary_directory_goes_away() -> None:
    state = OssState()
    directory = state.directory
    assert directory.is_dir()
    state.close()
    assert not directory.exists()
