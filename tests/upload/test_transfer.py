from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.crc import crc64
from preflight.destination import Destination
from preflight.errors import AccessDenied, SourceChanged, TransferError, UsageError
from preflight.findings import WeightType
from preflight.model.files import walk
from preflight.oss.client import BucketClient
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from preflight.upload.plan import UploadPlan, plan_upload
from preflight.upload.transfer import (
    MAX_PART,
    MULTIPART_FROM,
    PART,
    Manifest,
    UploadedObject,
    part_size,
    transfer,
)

GIB = 1 << 30
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with a file of three parts, small ones and an empty one."""
    root = tmp_path / "model"
    root.mkdir()
    (root / WEIGHTS).write_bytes(os.urandom(1 << 20) * 33 + b"end")
    (root / "adapter_config.json").write_bytes(b"{}")
    (root / "vocab.json").write_bytes(os.urandom(300_000))
    (root / "merges.txt").write_bytes(b"")
    return root


def plan_for(model: Path, sandbox: Sandbox) -> UploadPlan:
    destination = Destination(sandbox.bucket, "models/a/")
    return plan_upload(walk(model), destination, WeightType.LORA)


def written(sandbox: Sandbox, client: BucketClient) -> int:
    """How many requests have brought bytes of objects so far."""
    # The log learns of a call after its answer: one more call on the same connection.
    client.head("none")
    log = sandbox.oss_endpoint.log_calls
    return log.count("PutObject") + log.count("UploadPart")


def nothing(_: int) -> None:
    """Nobody watches."""


def test_every_byte_arrives_and_is_accounted_for(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    plan = plan_for(model, sandbox)
    done: list[int] = []
    manifest = transfer(plan, client, on_bytes=done.append)
    assert sum(done) == plan.total_bytes
    assert manifest.destination == plan.destination
    for item, sent in zip(plan.items, manifest.objects, strict=True):
        data = (model / item.name).read_bytes()
        assert sent == UploadedObject(f"models/a/{item.name}", len(data), crc64(data))
        assert sandbox.oss.read(sandbox.bucket, sent.key, 0, len(data)) == data
    assert len(sandbox.oss.objects(sandbox.bucket)) == 4
    assert written(sandbox, client) == 9 + 3  # parts of 4 MiB, and three small files


def test_generated_files_go_up_from_memory(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    destination = Destination(sandbox.bucket, "models/a/")
    plan = plan_upload(
        walk(model), destination, WeightType.LORA, generated={"config.json": b"{1}"}
    )
    transfer(plan, client, on_bytes=nothing)
    assert sandbox.oss.read(sandbox.bucket, "models/a/config.json", 0, 9) == b"{1}"


def test_what_is_already_there_is_not_sent_again(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    plan = plan_for(model, sandbox)
    first = transfer(plan, client, on_bytes=nothing)
    before = written(sandbox, client)
    done: list[int] = []
    assert transfer(plan, client, on_bytes=done.append) == first
    assert sum(done) == plan.total_bytes
    assert written(sandbox, client) == before


def test_another_content_of_the_same_size_is_replaced(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    transfer(plan_for(model, sandbox), client, on_bytes=nothing)
    (model / "adapter_config.json").write_bytes(b"[]")
    transfer(plan_for(model, sandbox), client, on_bytes=nothing)
    key = "models/a/adapter_config.json"
    assert sandbox.oss.read(sandbox.bucket, key, 0, 9) == b"[]"


def hook(client: BucketClient, plan: UploadPlan, act: Callable[[], None]) -> Manifest:
    """Transfer; `act` runs once, after the first part."""
    waiting = [act]

    def on_bytes(_: int) -> None:
        if waiting:
            waiting.pop()()

    return transfer(plan, client, on_bytes=on_bytes)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda path: os.truncate(path, MULTIPART_FROM // 2), "shorter"),
        (lambda path: os.utime(path, ns=(1, 1)), "changed while"),
        (lambda path: os.truncate(path, 1 << 26), "changed while"),
        (lambda path: path.unlink(), "vanished"),
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
        transfer(plan, client, on_bytes=nothing)
    keys = [one.key for one in sandbox.oss.objects(sandbox.bucket)]
    assert "models/a/adapter_config.json" not in keys


def test_ctrl_c_keeps_the_parts_and_shows_nothing(
    model: Path, sandbox: Sandbox, client: BucketClient
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hook(client, plan_for(model, sandbox), interrupt)
    assert sandbox.oss.objects(sandbox.bucket) == []
    assert len(sandbox.oss.uploads(sandbox.bucket)) == 1


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
    for fault in faults:
        sandbox.faults.add(Fault.from_json({"service": "oss", **fault}))
    plan = plan_for(model, sandbox)
    done: list[int] = []
    manifest = transfer(plan, client, on_bytes=done.append)
    assert sum(done) == plan.total_bytes
    stored = {
        one.key: (one.size, one.crc64) for one in sandbox.oss.objects(sandbox.bucket)
    }
    assert stored == {one.key: (one.size, one.crc64) for one in manifest.objects}
    assert len(sandbox.faults.fired) == 8


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [("AccessDenied", 403, AccessDenied), ("InvalidArgument", 400, TransferError)],
)
def test_a_refused_part_ends_the_transfer_and_its_upload(
    model: Path,
    sandbox: Sandbox,
    client: BucketClient,
    code: str,
    status: int,
    kind: type[Exception],
) -> None:
    sandbox.faults.add(
        Fault.from_json(
            {
                "service": "oss",
                "operation": "UploadPart",
                "action": "status",
                "status": status,
                "code": code,
                "nth": 2,
            }
        )
    )
    with pytest.raises(kind, match=code):
        transfer(plan_for(model, sandbox), client, on_bytes=nothing)
    assert sandbox.oss.uploads(sandbox.bucket) == []
    assert sandbox.oss.objects(sandbox.bucket) == []


def test_the_first_error_survives_an_abort_that_fails(
    model: Path,
    sandbox: Sandbox,
    client: BucketClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for operation in ("UploadPart", "AbortMultipartUpload"):
        sandbox.faults.add(
            Fault.from_json(
                {
                    "service": "oss",
                    "operation": operation,
                    "action": "status",
                    "status": 403,
                    "code": "AccessDenied",
                    "times": "always",
                }
            )
        )
    with pytest.raises(AccessDenied, match=r"part \d of"):
        transfer(plan_for(model, sandbox), client, on_bytes=nothing)
    assert "stays in the bucket" in caplog.text


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (MULTIPART_FROM, PART),
        (1000 * PART, PART),
        (1000 * PART + 1, 2 * PART),
        (145 * GIB, 16 * PART),
        (4000 * GIB, 4 * GIB),
        (40_000 * GIB, 4 * GIB),
    ],
)
def test_parts_grow_with_the_file(size: int, part: int) -> None:
    assert part_size(size) == part
    assert part_size(size) <= MAX_PART
    assert -(-size // part) <= 10_000


def test_a_file_that_oss_cannot_hold() -> None:
    with pytest.raises(UsageError, match="larger than OSS allows"):
        part_size(40_000 * GIB + 1)
