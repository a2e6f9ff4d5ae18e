"""The bucket is the checkpoint: parts that are there, uploads that go away."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from preflight.errors import RulesFailed, SourceChanged, TransferError, UsageError
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.retry import Retry
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import FaultPlan
from preflight.upload.parts import KIB, TransferOptions, wanted_part
from preflight.upload.transfer import Manifest
from preflight.upload.verify import verify
from tests.manual_clock import ManualClock
from tests.upload.small_model import (
    FIRST,
    PART,
    PREFIX,
    SECOND,
    Told,
    fault,
    is_all_there,
    make_model,
    plan_for,
    send,
    upload,
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def sent(box: Sandbox) -> int:
    """Bytes of parts that came in."""
    return box.oss_endpoint.log_calls.bytes_received("UploadPart")


def leave(box: Sandbox, root: Path, name: str, step: int, *numbers: int) -> str:
    """An upload of an earlier run with these right parts; its id."""
    upload = box.oss.initiate(box.bucket, PREFIX + name)
    data = (root / name).read_bytes()
    for number in numbers:
        piece = data[(number - 1) * step : number * step]
        box.oss.put_part(box.bucket, upload.key, upload.id, number, [piece])
    return upload.id


def weights(root: Path) -> int:
    return (root / FIRST).stat().st_size + (root / SECOND).stat().st_size


@pytest.mark.parametrize("numbers", [(), (1,), (3,), (1, 3), (1, 2, 3)])
@pytest.mark.parametrize("step", [PART, 120 * KIB])
def test_parts_that_are_there_are_not_sent(
    model: Path,
    sandbox: Sandbox,
    client: BucketClient,
    step: int,
    numbers: tuple[int, ...],
) -> None:
    leave(sandbox, model, FIRST, step, *numbers)
    size = (model / FIRST).stat().st_size
    held = sum(min(step, size - (number - 1) * step) for number in numbers)
    told = Told()
    verify(client, send(model, sandbox, client, progress=told))
    assert is_all_there(model, sandbox)
    assert sent(sandbox) == weights(model) - held
    assert told.bytes == plan_for(model, sandbox).total_bytes


def test_the_fullest_of_several_uploads_goes_on(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    leave(sandbox, model, FIRST, PART, 1)
    leave(sandbox, model, FIRST, PART, 2, 3)
    leave(sandbox, model, FIRST, PART, 3)
    size = (model / FIRST).stat().st_size
    send(model, sandbox, client)
    assert is_all_there(model, sandbox)
    assert sent(sandbox) == weights(model) - (size - PART)


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
        upload = leave(box, model, FIRST, PART, *range(1, count + 1))
        key = PREFIX + FIRST
        parts = [(p.number, p.etag) for p in box.oss.parts(box.bucket, key, upload)]
        pending.append(lambda: box.oss.complete(box.bucket, key, upload, parts))
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
        assert box.oss.uploads(box.bucket) == []
        assert sent(box) == (model / SECOND).stat().st_size


def test_uploads_of_other_keys_are_told_and_left_alone(
    model: Path,
    sandbox: Sandbox,
    client: BucketClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = sandbox.oss.initiate(sandbox.bucket, PREFIX + "optimizer.pt")
    send(model, sandbox, client)
    assert [one.id for one in sandbox.oss.uploads(sandbox.bucket)] == [other.id]
    assert "optimizer.pt" in caplog.text


def characters_read() -> int:
    text = Path("/proc/self/io").read_text("ascii")
    return int(text.split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts by /proc")
@pytest.mark.parametrize("state", ["fresh", "half there", "complete"])
def test_each_byte_is_read_once_and_seen_once(
    tmp_path: Path, sandbox: Sandbox, client: BucketClient, state: str
) -> None:
    root = tmp_path / "model"
    root.mkdir()
    size, step = 24 << 20, 4 << 20
    (root / "model.safetensors").write_bytes(os.urandom(1 << 20) * 24)
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
    assert size <= characters_read() - before <= 1.02 * size
    assert seen == (root / "model.safetensors").read_bytes()


def test_nothing_is_visible_when_the_last_look_says_no(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    (name,) = sandbox.oss.put(
        sandbox.bucket, PREFIX + "config.json", [b"old"]
    ).key.splitlines()

    def look() -> None:
        (held,) = sandbox.oss.objects(sandbox.bucket)
        assert held.key == name
        assert sent(sandbox) == weights(model)
        raise RulesFailed("a NaN")

    plan = plan_for(model, sandbox)
    with pytest.raises(RulesFailed):
        upload(plan, client, judge=look)
    assert sandbox.oss.read(sandbox.bucket, name, 0, 9) == b"old"
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_a_file_that_changes_after_it_was_sent_is_not_published(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    def look() -> None:
        os.utime(model / "config.json", ns=(1, 1))

    plan = plan_for(model, sandbox)
    with pytest.raises(SourceChanged, match=r"config\.json"):
        upload(plan, client, judge=look)
    assert sandbox.oss.objects(sandbox.bucket) == []
    assert sandbox.oss.uploads(sandbox.bucket) == []


def abort_all(box: Sandbox) -> None:
    for one in box.oss.uploads(box.bucket):
        box.oss.abort(box.bucket, one.key, one.id)


def test_uploads_that_someone_aborts_are_begun_again(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    plan = plan_for(model, sandbox)
    begun: list[int] = []

    def meddle() -> None:
        begun.append(1)
        if len(begun) == 2:
            abort_all(sandbox)

    manifest = upload(
        plan, client, progress=Told(meddle), judge=lambda: abort_all(sandbox)
    )
    verify(client, manifest)
    assert is_all_there(model, sandbox)


def test_uploads_that_go_away_each_time_are_an_error_in_the_end(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    gone = {"status": 404, "code": "NoSuchUpload", "times": "always"}
    sandbox.faults.add(fault("UploadPart", "status", key=f"*{FIRST}", **gone))
    with pytest.raises(TransferError, match="again and again"):
        send(model, sandbox, client)
    assert sandbox.oss.objects(sandbox.bucket) == []


def test_an_object_that_appears_meanwhile_is_not_overwritten(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    def look() -> None:
        sandbox.oss.put(sandbox.bucket, PREFIX + FIRST, [b"of somebody else"])

    plan = plan_for(model, sandbox)
    with pytest.raises(TransferError, match="FileAlreadyExists"):
        upload(plan, client, judge=look)
    held = sandbox.oss.read(sandbox.bucket, PREFIX + FIRST, 0, 99)
    assert held == b"of somebody else"


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


MEASURE = """
import sys
from pathlib import Path
import numpy, oss2, requests
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.upload.parts import TransferOptions
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import FaultPlan
from tests.upload.small_model import send

class Remote:
    bucket = sys.argv[4]

access = OssAccess(sys.argv[2], sys.argv[3], region="ap-southeast-1",
                    endpoint=sys.argv[5])
with BucketClient(access, Remote.bucket) as client:
    send(Path(sys.argv[1]), Remote, client, options=TransferOptions(workers=8))
status = Path("/proc/self/status").read_text("ascii").split()
print(int(status[status.index("VmHWM:") + 1]) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    root = tmp_path / "model"
    root.mkdir()
    with (root / "model.safetensors").open("wb") as file:
        file.truncate(300 << 20)
    (root / "tokenizer.json").write_bytes(bytes(12 << 20))
    with Sandbox(digests=True) as box:
        words = [root, box.access_key_id, box.access_key_secret, box.bucket]
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, *map(str, words), box.oss_url],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        assert len(box.oss.objects(box.bucket)) == 2
        box.check()
    assert int(done.stdout) <= 100  # MiB, libraries included


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 65}, "65 workers"),
        ({"workers": -1}, "-1 workers"),
        ({"part_size": 100 * KIB - 1}, "part size"),
        ({"part_size": (5 << 30) + 1}, "part size"),
        ({"bandwidth": -1}, "negative"),
    ],
)
def test_impossible_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TransferOptions(**options)


@pytest.mark.parametrize(
    ("total", "part"),
    [(0, 4), (1 << 20, 4), (300 << 20, 16), (1 << 30, 32), (145 << 30, 32)],
)
def test_the_usual_part_gives_each_worker_its_share(total: int, part: int) -> None:
    chosen = wanted_part([total // 2, total // 2], TransferOptions(workers=4))
    assert chosen == part << 20
    assert wanted_part([total], TransferOptions(part_size=200_000)) == 200_000


def test_a_limit_on_the_bandwidth_is_kept(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    began = time.monotonic()
    send(
        model,
        sandbox,
        client,
        options=TransferOptions(workers=4, part_size=PART, bandwidth=400_000),
    )
    assert time.monotonic() - began >= 0.8 * weights(model) / 400_000
    assert is_all_there(model, sandbox)
