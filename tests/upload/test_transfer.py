from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.crc import crc64
from preflight.destination import Destination
from preflight.errors import (
    LivePrefix,
    PreflightError,
    RulesFailed,
    SourceChanged,
    Terminated,
    TransferError,
    VerificationFailed,
)
from preflight.findings import WeightType
from preflight.model.files import walk
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.retry import Retry
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from preflight.upload.plan import UploadPlan, plan_upload
from preflight.upload.transfer import (
    MULTIPART_FROM,
    Manifest,
    TransferOptions,
    Upload,
    UploadedObject,
)
from tests.manual_clock import ManualClock
from tests.upload.small_model import Told, empty, fault, upload

PART = 256 << 10
USUAL = TransferOptions(part_size=PART)
ALONE = TransferOptions(workers=1, part_size=PART)
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with a file of five parts, small ones and an empty one."""
    root = tmp_path / "model"
    root.mkdir()
    (root / WEIGHTS).write_bytes(os.urandom(4 * PART) + b"end")
    (root / "adapter_config.json").write_bytes(b"{}")
    (root / "vocab.json").write_bytes(os.urandom(300_000))
    (root / "merges.txt").write_bytes(b"")
    return root


@pytest.fixture
def large(model: Path) -> Path:
    """The same with weights whose parts have the size that is chosen by itself."""
    (model / WEIGHTS).write_bytes(os.urandom(1 << 20) * 17 + b"end")
    return model


def plan_for(model: Path, sandbox: Sandbox) -> UploadPlan:
    destination = Destination(sandbox.bucket, "models/a/")
    return plan_upload(walk(model), destination, WeightType.LORA)


def written(sandbox: Sandbox, client: BucketClient) -> int:
    """How many requests have brought bytes of objects so far."""
    # The log learns of a call after its answer: one more call on the same connection.
    client.head("none")
    log = sandbox.oss_endpoint.log_calls
    return log.count("PutObject") + log.count("UploadPart")


def test_every_byte_arrives_and_is_accounted_for(
    large: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    plan = plan_for(large, sandbox)
    told = Told()
    manifest = upload(plan, client, options=TransferOptions(), progress=told)
    assert told.bytes == plan.total_bytes
    assert manifest.destination == plan.destination
    for item, sent in zip(plan.items, manifest.objects, strict=True):
        data = (large / item.name).read_bytes()
        assert sent == UploadedObject(f"models/a/{item.name}", len(data), crc64(data))
        assert sandbox.oss.read(sandbox.bucket, sent.key, 0, len(data)) == data
    assert len(sandbox.oss.objects(sandbox.bucket)) == 4
    assert written(sandbox, client) == 5 + 3  # parts of 4 MiB, and three small files


def test_far_away_what_is_sent_last_has_finer_parts(
    large: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    (large / "tokenizer.json").write_bytes(os.urandom(5 << 20))
    for asked in ("ListMultipartUploads", "ListObjectsV2"):
        sandbox.faults.add(fault(asked, "latency", seconds=0.02, times="always"))
    sizes = {}
    plan, options = plan_for(large, sandbox), TransferOptions(workers=1)
    with Upload(plan, client, options) as transfer:
        transfer.stage()
        for one in client.list_uploads("models/a/"):
            parts = client.list_parts(one.key, one.upload_id)
            sizes[one.key.rpartition("/")[2]] = [part.size for part in parts]
        transfer.publish()
    mib = 1 << 20
    assert sizes == {
        WEIGHTS: [8 * mib, 8 * mib, mib + 3],
        "tokenizer.json": [4 * mib, mib],
    }


def test_what_follows_a_slow_file_has_smaller_parts(
    large: Path, sandbox: Sandbox, access: OssAccess
) -> None:
    (large / "tokenizer.json").write_bytes(os.urandom(9 << 20))
    plan, clock = plan_for(large, sandbox), ManualClock()
    retry = Retry(clock=clock)
    with BucketClient(access, sandbox.bucket, timeout=(30, 30), retry=retry) as client:
        transfer = Upload(
            plan,
            client,
            TransferOptions(workers=1),
            on_block=lambda *_: clock.sleep(10),
        )
        with transfer:
            transfer.stage()
            sizes = [
                [part.size >> 20 for part in client.list_parts(one.key, one.upload_id)]
                for one in client.list_uploads("models/a/")
            ]
            transfer.publish()
    assert sizes == [[8, 8, 1], [4, 4, 1]]


def test_generated_files_go_up_from_memory(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    destination = Destination(sandbox.bucket, "models/a/")
    plan = plan_upload(
        walk(model), destination, WeightType.LORA, generated={"config.json": b"{1}"}
    )
    upload(plan, client, options=USUAL)
    assert sandbox.oss.read(sandbox.bucket, "models/a/config.json", 0, 9) == b"{1}"


def test_what_is_already_there_is_not_sent_again(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    plan = plan_for(model, sandbox)
    first = upload(plan, client, options=USUAL)
    before = written(sandbox, client)
    told = Told()
    assert upload(plan, client, options=USUAL, progress=told) == first
    assert told.bytes == plan.total_bytes
    assert written(sandbox, client) == before


def test_another_content_of_the_same_size_is_replaced(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    upload(plan_for(model, sandbox), client, options=USUAL)
    (model / "adapter_config.json").write_bytes(b"[]")
    upload(plan_for(model, sandbox), client, options=USUAL)
    key = "models/a/adapter_config.json"
    assert sandbox.oss.read(sandbox.bucket, key, 0, 9) == b"[]"


def hook(client: BucketClient, plan: UploadPlan, act: Callable[[], None]) -> Manifest:
    """Transfer; `act` runs once, after the first part."""
    waiting = [act]

    def once() -> None:
        if waiting:
            waiting.pop()()

    return upload(plan, client, options=USUAL, progress=Told(once))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda path: os.truncate(path, MULTIPART_FROM // 2), "shrank|changed while"),
        (lambda path: os.utime(path, ns=(1, 1)), "changed while"),
        (lambda path: os.truncate(path, 1 << 26), "changed while"),
        (lambda path: path.unlink(), "is gone"),
    ],
    ids=["shrinks", "touched", "grows", "deleted"],
)
def test_weights_that_change_meanwhile_never_become_visible(
    model: Path,
    sandbox: Sandbox,
    client: BucketClient,
    act: Callable[[Path], None],
    words: str,
) -> None:
    with pytest.raises(SourceChanged, match=words):
        hook(client, plan_for(model, sandbox), lambda: act(model / WEIGHTS))
    assert sandbox.oss.objects(sandbox.bucket) == []
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_a_small_file_that_changed_since_the_plan_is_not_sent(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    plan = plan_for(model, sandbox)
    (model / "adapter_config.json").write_bytes(b"[]")
    os.utime(model / "adapter_config.json", ns=(1, 1))
    with pytest.raises(SourceChanged, match="adapter_config"):
        upload(plan, client, options=USUAL)
    keys = [one.key for one in sandbox.oss.objects(sandbox.bucket)]
    assert "models/a/adapter_config.json" not in keys


def test_a_rough_network_changes_nothing_in_the_result(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    faults: list[dict[str, object]] = [
        {"operation": "UploadPart", "action": "status", "status": 503, "nth": 2},
        {"operation": "UploadPart", "action": "cut", "at": "body", "nth": 4},
        {"operation": "UploadPart", "action": "wrong_crc", "nth": 1},
        {"operation": "InitiateMultipartUpload", "action": "status", "status": 500},
        {"operation": "CompleteMultipartUpload", "action": "cut", "at": "after"},
        {"operation": "PutObject", "action": "cut", "at": "after", "times": 2},
        {"operation": "HeadObject", "action": "status", "status": 503},
    ]
    for one in faults:
        sandbox.faults.add(Fault.from_json({"service": "oss", **one}))
    plan = plan_for(model, sandbox)
    told = Told()
    manifest = upload(plan, client, options=USUAL, progress=told)
    assert told.bytes == plan.total_bytes
    stored = {
        one.key: (one.size, one.crc64) for one in sandbox.oss.objects(sandbox.bucket)
    }
    assert stored == {one.key: (one.size, one.crc64) for one in manifest.objects}
    assert len(sandbox.faults.fired) == 8


def always(operation: str, action: str, **more: object) -> Fault:
    return fault(operation, action, times="always", **more)


REFUSALS = (
    (403, "AccessDenied"),
    (403, "KmsServiceNotEnabled"),
    (403, "UserDisable"),
    (403, "SecurityTokenExpired"),
    (400, "QuotaExceeded"),
    (400, "InvalidArgument"),
    (503, "ServiceUnavailable"),
)


def test_a_refusal_keeps_the_parts(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    plan = plan_for(model, sandbox)
    for status, code in REFUSALS:
        sandbox.faults.add(
            always("UploadPart", "status", status=status, code=code, nth=4)
        )
        with pytest.raises(PreflightError, match=code) as caught:
            upload(plan, client, options=ALONE)
        assert "finished parts are kept: the same command goes on" in caught.value.hint
        assert_three_parts_wait(sandbox)
        sandbox.faults.clear()
        with Upload(plan, client, ALONE) as again:
            again.stage()
            again.publish()
        assert again.sent == plan.total_bytes - 3 * PART
        empty(sandbox)


def assert_three_parts_wait(box: Sandbox) -> None:
    assert box.oss.objects(box.bucket) == []
    assert held_parts(box) == [1, 2, 3]


def held_parts(box: Sandbox) -> list[int]:
    """The parts of the one upload that is not finished."""
    (left,) = box.oss.uploads(box.bucket)
    return [part.number for part in box.oss.parts(box.bucket, left.key, left.id)]


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        OSError(5, "Input/output error"),
        KeyboardInterrupt(),
        Terminated("SIGTERM"),
        TransferError("the network is gone"),
        LivePrefix("a model was imported from there"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_local_trouble_keeps_the_parts(
    model: Path, sandbox: Sandbox, client: BucketClient, error: BaseException
) -> None:
    parts: list[int] = []

    def trouble() -> None:
        parts.append(1)
        if len(parts) == 3:
            raise error

    with pytest.raises(type(error)):
        upload(plan_for(model, sandbox), client, options=ALONE, progress=Told(trouble))
    assert_three_parts_wait(sandbox)


def test_a_link_that_breaks_keeps_the_parts(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    sandbox.faults.add(always("UploadPart", "cut", at="body", nth=4))
    with pytest.raises(TransferError) as caught:
        upload(plan_for(model, sandbox), client, options=ALONE)
    assert "the same command goes on" in caught.value.hint
    assert_three_parts_wait(sandbox)


def test_bytes_that_are_always_damaged_are_taken_back(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    sandbox.faults.add(always("UploadPart", "wrong_crc", nth=4))
    with pytest.raises(VerificationFailed, match="damaged"):
        upload(plan_for(model, sandbox), client, options=ALONE)
    assert sandbox.oss.uploads(sandbox.bucket) == []
    assert sandbox.oss.objects(sandbox.bucket) == []


def test_an_object_that_is_not_its_parts_takes_back_the_others(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    (model / "tokenizer.json").write_bytes(bytes(2 << 20))
    for operation in ("CompleteMultipartUpload", "HeadObject"):
        sandbox.faults.add(always(operation, "wrong_crc", key=f"*{WEIGHTS}"))
    with pytest.raises(VerificationFailed, match="not the sum of its parts") as caught:
        upload(plan_for(model, sandbox), client, options=ALONE)
    assert "kept" not in caught.value.hint
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_a_rule_that_fails_takes_everything_back(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    key = "models/a/adapter_config.json"
    sandbox.oss.put(sandbox.bucket, key, [b"old"])

    def judge() -> None:
        (held,) = sandbox.oss.objects(sandbox.bucket)
        assert held.key == key
        assert held_parts(sandbox) == [1, 2, 3, 4, 5]  # all of them
        raise RulesFailed("a NaN")

    with pytest.raises(RulesFailed) as caught:
        upload(plan_for(model, sandbox), client, options=USUAL, judge=judge)
    assert caught.value.hint == ""
    assert sandbox.oss.read(sandbox.bucket, key, 0, 9) == b"old"
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_the_first_error_survives_an_abort_that_fails(
    model: Path,
    sandbox: Sandbox,
    client: BucketClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    denied = {"status": 403, "code": "AccessDenied"}
    sandbox.faults.add(always("AbortMultipartUpload", "status", **denied))

    def judge() -> None:
        raise RulesFailed("a NaN")

    with pytest.raises(RulesFailed):
        upload(plan_for(model, sandbox), client, options=USUAL, judge=judge)
    assert "stays in the bucket" in caplog.text


def test_uploads_of_other_keys_are_told_and_left_alone(
    model: Path,
    sandbox: Sandbox,
    client: BucketClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = sandbox.oss.initiate(sandbox.bucket, "models/a/optimizer.pt")
    probe = sandbox.oss.initiate(sandbox.bucket, "models/a/.preflight-probe-1")
    upload(plan_for(model, sandbox), client, options=USUAL)
    assert [one.id for one in sandbox.oss.uploads(sandbox.bucket)] == [other.id]
    assert "optimizer.pt" in caplog.text
    assert probe.key not in caplog.text
