from __future__ import annotations

import threading
from pathlib import Path

import pytest

from preflight.crc import crc64
from preflight.oss.client import BucketClient
from preflight.oss.models import Part
from preflight.retry import Patience
from preflight.sandbox import Sandbox
from preflight.upload.context import Context
from preflight.upload.local_file import LocalFile, local_crc
from preflight.upload.throttle import Throttle
from preflight.upload.workers import Stopped, Workers
from tests.upload.small_model import FIRST, PART, make_model, plan_for

SIZE = 250 << 10


@pytest.fixture
def seen() -> list[tuple[int, int]]:
    """Offset and length of each block that was shown."""
    return []


@pytest.fixture
def workers() -> Workers:
    return Workers(1, threading.Event())


@pytest.fixture
def local(
    tmp_path: Path,
    sandbox: Sandbox,
    client: BucketClient,
    workers: Workers,
    seen: list[tuple[int, int]],
) -> LocalFile:
    (item,) = (
        one
        for one in plan_for(make_model(tmp_path / "model"), sandbox).items
        if one.name == FIRST
    )
    throttle = Throttle(0, workers.pause)
    context = Context(
        client,
        workers,
        throttle,
        None,
        lambda _, at, block: seen.append((at, len(block))),
        PART,
        restart=False,
        patience=Patience(600),
    )
    return LocalFile(item, context)


def test_parts_are_read_once_and_make_the_whole(
    local: LocalFile, seen: list[tuple[int, int]]
) -> None:
    buffer = memoryview(bytearray(PART))
    for _ in range(2):
        for number in local.numbers:
            local.sum(number, buffer)
    assert seen == [(0, PART), (PART, PART), (2 * PART, SIZE - 2 * PART)]
    assert local.crc == local_crc(local.item)


def test_what_was_sent_need_not_be_read(
    local: LocalFile, seen: list[tuple[int, int]]
) -> None:
    local.sent(Part(2, "etag", PART, 7))
    assert local.sum(2, memoryview(bytearray(PART))) == 7
    assert seen == []


def test_other_parts_have_other_sums(local: LocalFile) -> None:
    buffer = memoryview(bytearray(PART))
    local.sum(1, buffer)
    local.cut(SIZE)
    assert not local.is_summed(1)
    assert list(local.numbers) == [1]
    assert isinstance(local.item.source, Path)
    assert local.sum(1, buffer) == crc64(local.item.source.read_bytes())


def test_a_thread_that_wakes_late_reads_nothing_any_more(
    local: LocalFile, workers: Workers
) -> None:
    """Its descriptor may be another file's by now."""

    def interrupt(_: memoryview) -> None:
        raise KeyboardInterrupt

    body = local.body(1, memoryview(bytearray(1000)))
    assert len(body.read()) == 1000
    with pytest.raises(KeyboardInterrupt):
        workers.run([interrupt])
    local.close()
    with pytest.raises(Stopped):
        body.read()
