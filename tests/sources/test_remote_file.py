"""Ranges of one object: what is held already, what is asked for, what comes twice."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from preflight.clock import compressed
from preflight.destination import Destination
from preflight.model.files import FileEntry, FileKind
from preflight.model.source import Soon
from preflight.model.steady import Changed
from preflight.oss.access import OssAccess
from preflight.oss.body import BLOCK
from preflight.oss.inspector import BucketInspector, Stored
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from preflight.sources.bucket import BucketPrefix
from preflight.sources.remote_file import RemoteFile
from tests.sources.stored import put

PREFIX, NAME = "models/one/", "model.safetensors"
KEY = PREFIX + NAME
SIZE = 1 << 16  # bytes


@pytest.fixture
def inspector(sandbox: Sandbox, access: OssAccess) -> Iterator[BucketInspector]:
    with BucketInspector(access, sandbox.bucket) as made:
        yield made


def stored(inspector: BucketInspector) -> Stored:
    return inspector.snapshot(PREFIX)[KEY]


def held(data: bytes) -> Future[bytes]:
    """First bytes that came already."""
    made: Future[bytes] = Future()
    made.set_result(data)
    return made


def test_what_is_held_is_not_asked_for_and_the_rest_is(
    sandbox: Sandbox, inspector: BucketInspector
) -> None:
    data = os.urandom(SIZE)
    put(sandbox, KEY, data)
    there, log = stored(inspector), sandbox.oss_endpoint.log_calls
    for first in (0, 1, 100, SIZE):
        file = RemoteFile(inspector, there, NAME, held(data[:first]))
        for offset, count in ((0, 0), (0, 50), (50, 50), (99, 2), (100, 7), (0, SIZE)):
            before = log.count("GetObject")
            got = file.read(offset, count)
            assert got == data[offset : offset + count], (first, offset, count)
            asked = count > 0 and offset + count > first
            assert log.count("GetObject") - before == asked, (first, offset, count)


@pytest.mark.parametrize("fraction", [0.0, 0.5])
def test_bytes_that_come_again_count_once(
    sandbox: Sandbox, inspector: BucketInspector, fraction: float
) -> None:
    """An answer that ended early is asked for again from its beginning."""
    data = os.urandom(4 * BLOCK)
    put(sandbox, KEY, data)
    fault = {"service": "oss", "operation": "GetObject", "action": "truncate"}
    sandbox.faults.add(Fault.from_json({**fault, "fraction": fraction, "times": 2}))
    seen, lock = bytearray(), threading.Lock()

    def look(at: int, block: memoryview) -> None:
        with lock:
            assert at == len(seen)
            seen.extend(block)

    with compressed():
        crc = RemoteFile(inspector, stored(inspector), NAME).crc(on_block=look)
    assert (crc, bytes(seen)) == (sandbox.oss.object(sandbox.bucket, KEY).crc64, data)


def test_another_object_is_told_by_the_name_of_the_file(
    sandbox: Sandbox, inspector: BucketInspector
) -> None:
    put(sandbox, KEY, b"before")
    before = stored(inspector)
    put(sandbox, KEY, b"after!")
    with pytest.raises(Changed) as raised:
        RemoteFile(inspector, before, NAME).read(0, 6)
    assert raised.value.message.startswith(f"{NAME} ")


def test_large_empty_and_archived_objects_are_not_fetched_before_they_are_read(
    sandbox: Sandbox, inspector: BucketInspector
) -> None:
    most = 16 << 20  # bytes; a tokenizer with many languages has as much
    put(sandbox, KEY, bytes(most + 1))

    def entry(size: int, storage_class: str = "Standard") -> FileEntry:
        kind = FileKind.FILE
        return FileEntry(NAME, Path(NAME), kind, size=size, storage_class=storage_class)

    entries = {
        Soon(entry(most)): 1,
        Soon(entry(most + 1)): 0,
        Soon(entry(most + 1), most): 1,
        Soon(entry(0)): 0,
        Soon(entry(10, "Archive")): 0,
    }
    log = sandbox.oss_endpoint.log_calls
    for soon, asked in entries.items():
        with BucketPrefix(inspector, Destination(sandbox.bucket, PREFIX)) as place:
            place.walk()
            before = log.count("GetObject")
            place.expect([soon])
            for head in place._heads.values():
                head.result()
            assert log.count("GetObject") - before == asked, soon
