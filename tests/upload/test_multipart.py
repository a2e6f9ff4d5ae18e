"""The bucket is the checkpoint: parts that are there, uploads that go away."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from preflight.crc import crc64
from preflight.errors import AccessDenied, SourceChanged, TransferError
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.retry import Retry
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import FaultPlan
from preflight.upload.parts import KIB, TransferOptions
from preflight.upload.transfer import Manifest
from preflight.upload.verify import verify
from tests.manual_clock import ManualClock
from tests.upload.small_model import (
    FIRST,
    PART,
    PREFIX,
    SECOND,
    Told,
    abort_all,
    empty,
    fault,
    is_all_there,
    leave,
    make_model,
    plan_for,
    send,
    sent,
    upload,
    weights,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.mark.parametrize("step", [PART, 120 * KIB])
def test_parts_that_are_there_are_not_sent(
    model: Path, sandbox: Sandbox, client: BucketClient, step: int
) -> None:
    size = (model / FIRST).stat().st_size
    numbers: tuple[int, ...]
    for numbers in ((), (1,), (3,), (1, 3), (1, 2, 3)):
        empty(sandbox)
        leave(sandbox, model, FIRST, step, *numbers)
        held = sum(min(step, size - (number - 1) * step) for number in numbers)
        before, told = sent(sandbox), Told()
        verify(client, send(model, sandbox, client, progress=told))
        assert is_all_there(model, sandbox)
        assert sent(sandbox) - before == weights(model) - held, numbers
        assert told.bytes == plan_for(model, sandbox).total_bytes


def test_the_fullest_of_several_uploads_goes_on(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    for numbers in ((1,), (2, 3), (3,)):
        leave(sandbox, model, FIRST, PART, *numbers)
    send(model, sandbox, client)
    assert is_all_there(model, sandbox)
    assert sent(sandbox) == weights(model) - (250 * KIB - PART)


def test_parts_of_another_training_are_not_compared_to_the_last(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    """The first that is wrong says it of all: no byte but its own is read twice."""
    leave(sandbox, model, FIRST, PART, 1, 2, 3)
    (model / FIRST).write_bytes(os.urandom(250 * KIB))
    seen: list[int] = []
    upload(
        plan_for(model, sandbox),
        client,
        options=TransferOptions(workers=1, part_size=PART),
        on_block=lambda name, _, block: seen.append(len(block) * (name == FIRST)),
    )
    assert is_all_there(model, sandbox)
    assert sum(seen) == 250 * KIB + PART


def test_parts_of_no_common_size_are_aborted(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    upload_id = leave(sandbox, model, FIRST, PART, 1)
    box = sandbox.oss
    box.put_part(sandbox.bucket, PREFIX + FIRST, upload_id, 2, [bytes(PART + 7)])
    send(model, sandbox, client)
    assert is_all_there(model, sandbox)
    assert sent(sandbox) == weights(model)


@pytest.mark.parametrize(
    "operation", ["ListMultipartUploads", "ListObjectsV2", "ListParts"]
)
def test_the_last_request_of_a_killed_run_is_carried_out_meanwhile(
    model: Path, tmp_path: Path, operation: str
) -> None:
    """Its Complete comes between two of our looks: nothing is sent a second time."""
    pending: list[Callable[[], object]] = []

    def complete(_: float) -> None:
        while pending:
            pending.pop()()

    with Sandbox(directory=tmp_path / "box", faults=FaultPlan(sleep=complete)) as box:
        count = -(-(model / FIRST).stat().st_size // PART)
        upload_id = leave(box, model, FIRST, PART, *range(1, count + 1))
        key = PREFIX + FIRST
        parts = [(p.number, p.etag) for p in box.oss.parts(box.bucket, key, upload_id)]
        pending.append(lambda: box.oss.complete(box.bucket, key, upload_id, parts))
        box.faults.add(fault(operation, "latency", seconds=1))
        access = OssAccess(
            box.access_key_id,
            box.access_key_secret,
            region=box.region,
            endpoint=box.oss_url,
        )
        with BucketClient(access, box.bucket) as client:
            verify(client, send(model, box, client))
        assert not pending
        assert is_all_there(model, box)
        assert sent(box) == (model / SECOND).stat().st_size


def characters_read() -> int:
    """Bytes that this process has read from files so far."""
    text = Path("/proc/self/io").read_text("ascii")
    return int(text.split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts by /proc")
@pytest.mark.parametrize("state", ["fresh", "half there", "complete"])
def test_each_byte_is_read_once_and_seen_once(
    tmp_path: Path, sandbox: Sandbox, client: BucketClient, state: str
) -> None:
    root = tmp_path / "model"
    root.mkdir()
    size, step = 6 << 20, 1 << 20
    (root / "model.safetensors").write_bytes(os.urandom(1 << 20) * 6)
    options = TransferOptions(workers=3, part_size=step)
    if state == "half there":
        leave(sandbox, root, "model.safetensors", step, 2, 4, 5)
    if state == "complete":
        send(root, sandbox, client, options=options)
    seen = bytearray(size)
    lock = threading.Lock()

    def on_block(name: str, offset: int, block: memoryview) -> None:
        assert name == "model.safetensors"
        with lock:
            seen[offset : offset + len(block)] = block

    plan = plan_for(root, sandbox)
    before = characters_read()
    upload(plan, client, on_block=on_block, options=options)
    assert size <= characters_read() - before <= size + 500_000
    assert seen == (root / "model.safetensors").read_bytes()


def test_a_file_that_changes_after_it_was_sent_is_not_published(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    def touch() -> None:
        os.utime(model / "config.json", ns=(1, 1))

    with pytest.raises(SourceChanged, match=r"config\.json"):
        upload(plan_for(model, sandbox), client, judge=touch)
    assert sandbox.oss.objects(sandbox.bucket) == []
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_uploads_that_someone_aborts_are_begun_again(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    begun: list[int] = []

    def meddle() -> None:
        begun.append(1)
        if len(begun) == 2:
            abort_all(sandbox)

    told = Told(meddle)
    plan = plan_for(model, sandbox)
    verify(
        client, upload(plan, client, progress=told, judge=lambda: abort_all(sandbox))
    )
    assert is_all_there(model, sandbox)
    assert told.bytes == plan.total_bytes  # of parts that went up twice nobody hears


@pytest.mark.parametrize("finished", [False, True])
def test_of_an_upload_that_went_away_one_refusal_is_enough(
    model: Path, sandbox: Sandbox, client: BucketClient, finished: bool
) -> None:
    """Its other parts are not even sent; none is, where another machine finished it."""
    key, begun = PREFIX + FIRST, Told()
    stranger = sandbox.oss.initiate(sandbox.bucket, f"{key}.bak")

    def meddle() -> None:
        begun.advance(1)
        if begun.bytes == 1:
            (mine,) = (u for u in sandbox.oss.uploads(sandbox.bucket) if u.key == key)
            sandbox.oss.abort(sandbox.bucket, key, mine.id)
            if finished:
                sandbox.oss.put(sandbox.bucket, key, [(model / FIRST).read_bytes()])

    told = Told(meddle)
    options = TransferOptions(workers=1, part_size=PART)
    verify(client, send(model, sandbox, client, options=options, progress=told))
    calls = sandbox.oss_endpoint.log_calls.last("UploadPart")
    again = [] if finished else [200] * 3
    assert [call.status for call in calls if call.key == key] == [200, 404, *again]
    assert told.bytes == plan_for(model, sandbox).total_bytes
    assert told.under_way == {}
    assert [one.id for one in sandbox.oss.uploads(sandbox.bucket)] == [stranger.id]


def test_no_file_stays_open_where_a_transfer_ends_early(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    sandbox.faults.add(fault("UploadPart", "status", nth=2, status=403))
    with pytest.raises(AccessDenied):
        send(model, sandbox, client)
    opened = {file.path for file in psutil.Process().open_files()}
    assert not opened & {str(path.resolve()) for path in model.iterdir()}


def test_uploads_that_go_away_each_time_are_an_error_in_the_end(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    gone = {"status": 404, "code": "NoSuchUpload", "times": "always"}
    sandbox.faults.add(fault("UploadPart", "status", key=f"*{FIRST}", **gone))
    with pytest.raises(TransferError, match="again and again"):
        send(model, sandbox, client)
    assert sandbox.oss.objects(sandbox.bucket) == []


@pytest.mark.parametrize("size", [16, 250 * KIB])
@pytest.mark.parametrize("aborted", [False, True])
def test_an_object_that_appears_meanwhile_is_not_overwritten(
    model: Path, sandbox: Sandbox, client: BucketClient, size: int, aborted: bool
) -> None:
    key, theirs = PREFIX + FIRST, os.urandom(size)

    def meddle() -> None:
        sandbox.oss.put(sandbox.bucket, key, [theirs])
        if aborted:
            abort_all(sandbox)

    with pytest.raises(TransferError, match="FileAlreadyExists"):
        upload(plan_for(model, sandbox), client, judge=meddle)
    assert sandbox.oss.object(sandbox.bucket, key).crc64 == crc64(theirs)


def test_the_very_object_appears_meanwhile(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    """Another machine was faster; what was read here is not read a second time."""
    data = (model / FIRST).read_bytes()

    def finish() -> None:
        sandbox.oss.put(sandbox.bucket, PREFIX + FIRST, [data])
        abort_all(sandbox)

    seen: list[int] = []
    verify(
        client,
        upload(
            plan_for(model, sandbox),
            client,
            judge=finish,
            on_block=lambda name, _, block: seen.append(len(block) * (name == FIRST)),
        ),
    )
    assert is_all_there(model, sandbox)
    assert sum(seen) == len(data)


def in_threads(calls: list[Callable[[], Manifest]]) -> list[Manifest]:
    """The results of calls made at the same time."""
    results: list[Manifest] = []
    threads = [
        threading.Thread(target=lambda call=call: results.append(call()))
        for call in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("held", [0, 2])
def test_two_machines_at_once_come_to_the_right_end(
    model: Path, sandbox: Sandbox, access: OssAccess, held: int
) -> None:
    retry = Retry(clock=ManualClock())
    if held:
        leave(sandbox, model, FIRST, PART, *range(1, held + 1))
    with (
        BucketClient(access, sandbox.bucket, retry=retry) as one,
        BucketClient(access, sandbox.bucket, retry=retry) as two,
    ):
        found = in_threads(
            [lambda: send(model, sandbox, one), lambda: send(model, sandbox, two)]
        )
        assert len(found) == 2
        for manifest in found:
            verify(one, manifest)
    assert is_all_there(model, sandbox)


def test_a_limit_on_the_bandwidth_is_kept(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    options = TransferOptions(workers=4, part_size=PART, bandwidth=900_000)
    began = time.monotonic()
    send(model, sandbox, client, options=options)
    assert time.monotonic() - began >= 0.8 * weights(model) / options.bandwidth
    assert is_all_there(model, sandbox)
