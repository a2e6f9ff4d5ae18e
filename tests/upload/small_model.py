"""A directory of full weights in parts of 100 KiB, and transfers of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from preflight.crc import crc64
from preflight.destination import Destination
from preflight.findings import WeightType
from preflight.model.files import walk
from preflight.oss.body import OnBlock
from preflight.oss.client import BucketClient
from preflight.progress import NoProgress, Progress
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from preflight.upload.parts import KIB, TransferOptions
from preflight.upload.plan import UploadPlan, plan_upload
from preflight.upload.transfer import Manifest, Upload

PREFIX = "models/a/"
PART = 100 * KIB
FIRST = "model-00001-of-00002.safetensors"
SECOND = "model-00002-of-00002.safetensors"
OPTIONS = TransferOptions(workers=2, part_size=PART)


def make_model(root: Path) -> Path:
    """Two shards of three parts each, and three small files."""
    root.mkdir()
    (root / FIRST).write_bytes(os.urandom(250 * KIB))
    (root / SECOND).write_bytes(os.urandom(201 * KIB))
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        (root / name).write_bytes(os.urandom(500))
    return root


def plan_for(root: Path, box: Sandbox) -> UploadPlan:
    return plan_upload(walk(root), Destination(box.bucket, PREFIX), WeightType.FULL)


class Told(NoProgress):
    """Calls somebody each time that bytes are done, and adds them up.

    `under_way`: bytes of each part of a file that are said to be on their way.
    """

    def __init__(self, call: Callable[[], object] = lambda: None) -> None:
        self.bytes = 0
        self.under_way: dict[tuple[str, int], int] = {}
        self._call = call

    def flow(self, file: str, part: int, count: int) -> None:
        if count:
            self.under_way[(file, part)] = count
        else:
            self.under_way.pop((file, part), None)

    def advance(self, count: int) -> None:
        self.bytes += count
        self._call()


def upload(
    plan: UploadPlan,
    client: BucketClient,
    *,
    options: TransferOptions = OPTIONS,
    progress: Progress | None = None,
    on_block: OnBlock | None = None,
    judge: Callable[[], object] = lambda: None,
) -> Manifest:
    """All of it, with `judge` between the two halves."""
    with Upload(
        plan, client, options, progress=progress, on_block=on_block
    ) as transfer:
        transfer.stage()
        judge()
        return transfer.publish()


def send(
    root: Path,
    box: Sandbox,
    client: BucketClient,
    *,
    options: TransferOptions = OPTIONS,
    progress: Progress | None = None,
) -> Manifest:
    return upload(plan_for(root, box), client, options=options, progress=progress)


def leave(box: Sandbox, root: Path, name: str, step: int, *numbers: int) -> str:
    """An upload of an earlier run with these right parts; its id."""
    upload = box.oss.initiate(box.bucket, PREFIX + name)
    data = (root / name).read_bytes()
    for number in numbers:
        piece = data[(number - 1) * step : number * step]
        box.oss.put_part(box.bucket, upload.key, upload.id, number, [piece])
    return upload.id


def abort_all(box: Sandbox) -> None:
    """What another machine, or a lifecycle rule, may do to unfinished uploads."""
    for one in box.oss.uploads(box.bucket):
        box.oss.abort(box.bucket, one.key, one.id)


def empty(box: Sandbox) -> None:
    """Nothing is there, nothing goes wrong, as in the beginning."""
    box.faults.clear()
    abort_all(box)
    for one in box.oss.objects(box.bucket):
        box.oss.delete(box.bucket, one.key)


def weights(root: Path) -> int:
    """Bytes of both shards."""
    return sum(path.stat().st_size for path in root.glob("*.safetensors"))


def sent(box: Sandbox) -> int:
    """Bytes of parts that came in so far."""
    return box.oss_endpoint.log_calls.bytes_received("UploadPart")


def is_all_there(root: Path, box: Sandbox) -> bool:
    """Whether exactly the files lie under the prefix, and no upload is left."""
    found = box.oss.objects(box.bucket, PREFIX)
    stored = {one.key.removeprefix(PREFIX): one.crc64 for one in found}
    local = {path.name: crc64(path.read_bytes()) for path in root.iterdir()}
    return stored == local and not box.oss.uploads(box.bucket)


def fault(operation: str, action: str, **more: object) -> Fault:
    values = {"service": "oss", "operation": operation, "action": action, **more}
    return Fault.from_json(values)
