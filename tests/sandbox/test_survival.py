"""The sandbox is killed in the middle of the work: what it acknowledged is there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import oss2
import psutil
import pytest
import requests

from tests.commands.test_sandbox import bucket_of, jobs, serving

LARGE = "PREFLIGHT_LARGE" in os.environ
CONNECTIONS = 64 if LARGE else 16
PARTS = 10_000 if LARGE else 300
PART = (2 << 20) if LARGE else (100 << 10)  # bytes: 20 GB, or 30 MB
GROWTH = 48 << 20  # bytes that the process may grow by, most of them for its threads


@dataclass
class Acknowledged:
    """What clients were told, until the first of them is told nothing any more."""

    numbers: Iterator[int]
    etags: dict[int, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, send: Callable[[int], str]) -> None:
        """Send until the numbers or the server end."""
        with suppress(oss2.exceptions.RequestError, requests.RequestException):
            for number in iter(self._next, None):
                etag = send(number)
                with self.lock:
                    self.etags[number] = etag

    def _next(self) -> int | None:
        with self.lock:
            return next(self.numbers, None)


def listed(bucket: oss2.Bucket, upload: str) -> dict[int, str]:
    found = oss2.PartIterator(bucket, "k", upload)
    return {part.part_number: part.etag for part in found}


@pytest.mark.timeout(1800 if LARGE else 120)
def test_parts_survive_a_kill_and_memory_is_flat(tmp_path: Path) -> None:
    state, home, data = tmp_path / "state", tmp_path / "home", bytes(PART)
    flags = ("--state", state, "--digests")
    acknowledged = Acknowledged(iter(range(1, PARTS + 1)))

    def go_on(values: dict[str, str], upload: str, then: Callable[[], None]) -> None:
        """All connections send, and `then` happens when half of it is there."""

        def send(number: int) -> str:
            bucket = bucket_of(values)
            bucket.enable_crc = False
            return str(bucket.upload_part("k", upload, number, data).etag)

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for _ in range(CONNECTIONS):
                pool.submit(acknowledged.work, send)
            while len(acknowledged.etags) < PARTS // 2:
                threading.Event().wait(0.01)
            then()

    with serving(home, *flags) as (process, values):
        upload = bucket_of(values).init_multipart_upload("k").upload_id
        go_on(values, upload, process.kill)
    assert len(acknowledged.etags) < PARTS
    with serving(home, *flags) as (process, values):
        bucket = bucket_of(values)
        there = listed(bucket, upload)
        assert acknowledged.etags.items() <= there.items()
        missing = [n for n in range(1, PARTS + 1) if n not in there]
        acknowledged = Acknowledged(iter(missing), there)
        before = psutil.Process(process.pid).memory_info().rss
        go_on(values, upload, lambda: None)
        parts = [
            oss2.models.PartInfo(number, etag)
            for number, etag in sorted(acknowledged.etags.items())
        ]
        assert len(parts) == PARTS
        bucket.complete_multipart_upload("k", upload, parts)
        assert psutil.Process(process.pid).memory_info().rss - before < GROWTH
        process.kill()
    with serving(home, *flags) as (process, values):
        bucket = bucket_of(values)
        assert bucket.head_object("k").content_length == PARTS * PART
        assert list(oss2.MultipartUploadIterator(bucket)) == []


def test_objects_tags_and_jobs_survive_a_kill(tmp_path: Path) -> None:
    state, home = tmp_path / "state", tmp_path / "home"
    acknowledged = Acknowledged(iter(range(10_000)))
    wanted = {"model_name": "qwen3-8b", "source": "oss", "weight_type": "lora"}
    made: list[str] = []

    with serving(home, "--state", state) as (process, values):

        def send(number: int) -> str:
            bucket = bucket_of(values)
            if number % 10 == 0:
                bucket.delete_object(f"{number - 1}")
                place = {"bucket_name": bucket.bucket_name, "object_key": f"m{number}/"}
                answer = jobs(values, **wanted, storage_info=place)
                made.append(answer.json()["output"]["job_id"])
                return ""
            return str(bucket.put_object(f"{number}", f"{number}".encode()).etag)

        bucket_of(values).put_bucket_tagging(tagging("kept", "yes"))
        with ThreadPoolExecutor(8) as pool:
            for _ in range(8):
                pool.submit(acknowledged.work, send)
            while len(acknowledged.etags) < 200:
                threading.Event().wait(0.01)
            process.kill()
    with serving(home, "--state", state) as (process, values):
        bucket = bucket_of(values)
        found = {item.key: item.etag for item in oss2.ObjectIterator(bucket)}
        for number, etag in acknowledged.etags.items():
            if etag and number + 1 not in acknowledged.etags:
                continue  # it may or may not have been deleted: nobody was told
            if etag and number % 10 != 9:
                assert found[f"{number}"] == etag
                assert bucket.get_object(f"{number}").read() == f"{number}".encode()
        assert bucket.get_bucket_tagging().tag_set.tagging_rule == {"kept": "yes"}
        pages = [job_page(values, n) for n in range(1, 12)]
        assert set(made) <= {job["job_id"] for page in pages for job in page}
        bodies = len(list((state / "bodies").iterdir()))
        assert bodies == len(found)


def job_page(values: dict[str, str], number: int) -> list[dict[str, str]]:
    url = f"{values['DASHSCOPE_HTTP_BASE_URL']}/custom_models/import"
    answer = requests.get(
        url,
        params={"page_no": number, "page_size": 100},
        headers={"Authorization": f"Bearer {values['DASHSCOPE_API_KEY']}"},
        timeout=10,
    )
    listing: list[dict[str, str]] = answer.json()["output"]["list"]
    return listing


def tagging(key: str, value: str) -> oss2.models.Tagging:
    rule = oss2.models.TaggingRule()
    rule.add(key, value)
    return oss2.models.Tagging(rule)
