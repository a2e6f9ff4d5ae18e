"""A benchmark against a sink that takes anything would measure nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import oss2
import pytest
import requests

from preflight.crc import crc64
from preflight.destination import Destination
from preflight.findings import WeightType
from preflight.model.files import walk
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import plan_upload
from tests.benchmarks.arrival import check_arrival
from tests.benchmarks.measure import ROOT
from tests.benchmarks.model_dir import Written, make_model
from tests.benchmarks.sink import Change, Link, Sink, Way
from tests.upload.small_model import upload

BUCKET = "bench-bucket"
PART = 100 << 10


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    server = threading.Thread(target=made.serve, daemon=True)
    server.start()
    yield made
    made.close()
    server.join(10)
    assert not server.is_alive()


def url_of(sink: Sink) -> str:
    return f"http://127.0.0.1:{sink.port}"


@pytest.fixture
def bucket(sink: Sink) -> Iterator[oss2.Bucket]:
    session = oss2.Session()
    auth = oss2.AuthV4("k", "s")
    yield oss2.Bucket(
        auth, url_of(sink), BUCKET, session=session, region="ap-southeast-1"
    )
    session.session.close()


@pytest.mark.parametrize("size", [0, 1, 65_535, 3 << 20])
def test_the_digest_is_that_of_the_bytes(bucket: oss2.Bucket, size: int) -> None:
    data = os.urandom(size)
    assert bucket.put_object("a b/ä", data).crc == crc64(data)
    head = bucket.head_object("a b/ä")
    assert (head.content_length, head.server_crc) == (size, crc64(data))


def test_resumable_upload_of_oss2(bucket: oss2.Bucket, tmp_path: Path) -> None:
    data = os.urandom(5 * PART + 7)
    (tmp_path / "file").write_bytes(data)
    made = oss2.resumable_upload(
        bucket,
        "whole",
        str(tmp_path / "file"),
        store=oss2.ResumableStore(root=str(tmp_path)),
        multipart_threshold=PART,
        part_size=PART,
        num_threads=2,
    )
    assert made.crc == crc64(data)
    assert [item.key for item in bucket.list_objects_v2("").object_list] == ["whole"]
    assert bucket.list_multipart_uploads().upload_list == []


def test_parts_are_listed_until_they_are_dropped(bucket: oss2.Bucket) -> None:
    upload_id = bucket.init_multipart_upload("k").upload_id
    bucket.upload_part("k", upload_id, 2, b"22")
    bucket.upload_part("k", upload_id, 1, b"1")
    parts = bucket.list_parts("k", upload_id).parts
    assert [(part.part_number, part.size) for part in parts] == [(1, 1), (2, 2)]
    assert [one.key for one in bucket.list_multipart_uploads().upload_list] == ["k"]
    bucket.abort_multipart_upload("k", upload_id)
    assert bucket.list_multipart_uploads().upload_list == []
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.upload_part("k", upload_id, 3, b"3")
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.head_object("k")


def test_a_part_that_never_came_is_refused(bucket: oss2.Bucket) -> None:
    upload_id = bucket.init_multipart_upload("k").upload_id
    never = [oss2.models.PartInfo(1, "etag")]
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        bucket.complete_multipart_upload("k", upload_id, never)
    assert caught.value.code == "InvalidPart"


def test_what_it_does_not_know_is_refused_loudly(
    sink: Sink, bucket: oss2.Bucket, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.put_object("k", b"1")
    with pytest.raises(oss2.exceptions.ServerError) as caught:
        bucket.get_object("k")
    assert caught.value.status == 501
    assert "sink: GET k" in capsys.readouterr().err
    answer = requests.get(f"{url_of(sink)}/{BUCKET}/?acl", timeout=10)
    assert answer.status_code == 501


def test_our_engine_and_the_proof_of_arrival(sink: Sink, tmp_path: Path) -> None:
    files = dict(make_model(tmp_path, 20 << 20, shards=2))
    plan = plan_upload(walk(tmp_path), Destination(BUCKET, "m/"), WeightType.FULL)
    access = OssAccess("k", "s", region="ap-southeast-1", endpoint=url_of(sink))
    with BucketClient(access, BUCKET) as client:
        upload(plan, client, options=TransferOptions())
    check_arrival(url_of(sink), "m/", files, in_pieces=False)
    name = "config.json"
    files[name] = Written(files[name].size, files[name].crc64 ^ 1)
    with pytest.raises(RuntimeError, match="the sink has"):
        check_arrival(url_of(sink), "m/", files, in_pieces=False)
    with pytest.raises(RuntimeError, match="the sink has"):
        check_arrival(url_of(sink), "m/", files, in_pieces=True)


def test_a_slow_link_is_slow(sink: Sink, bucket: oss2.Bucket) -> None:
    sink.way.link = Link(bandwidth=1e6, latency=0.05)
    begin = time.monotonic()
    bucket.put_object("k", bytes(200_000))
    assert time.monotonic() - begin >= 0.25


@pytest.mark.parametrize("seconds", ["60", "0.2"])
def test_the_process_ends_with_its_parent_or_its_time(seconds: str) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.sink", "--seconds", seconds]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin
        assert process.stdout
        assert int(process.stdout.readline()) > 0
        if seconds == "60":
            process.stdin.close()
        assert process.wait(30) == (0 if seconds == "60" else 3)


def test_more_than_it_takes_in_all_is_refused_and_a_link_can_change() -> None:
    way = Way(Link(total=1000), Change(500, Link(bandwidth=7)))
    assert [way.takes(900), way.takes(900), way.takes(900)] == [True, True, False]
    way.passed(499)
    assert way.link.total == 1000
    way.passed(1)
    assert way.link == Link(bandwidth=7)
    assert way.takes(10**12)
