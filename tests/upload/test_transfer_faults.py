"""Every fault at every stage of a transfer: success, or an error that has a name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from preflight.errors import PreflightError
from preflight.oss.client import BucketClient
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from preflight.upload.verify import verify
from tests.depth import examples
from tests.upload.small_model import (
    FIRST,
    PART,
    PREFIX,
    SECOND,
    empty,
    fault,
    is_all_there,
    leave,
    send,
)

FAULTS: dict[str, dict[str, Any]] = {
    "500": {"action": "status", "status": 500},
    "503": {"action": "status", "status": 503, "headers": {"Retry-After": "1"}},
    "429": {"action": "status", "status": 429},
    "forbidden": {"action": "status", "status": 403, "code": "AccessDenied"},
    "bad keys": {"action": "status", "status": 403, "code": "InvalidAccessKeyId"},
    "refused": {"action": "status", "status": 400, "code": "InvalidArgument"},
    "no upload": {"action": "status", "status": 404, "code": "NoSuchUpload"},
    "taken": {"action": "status", "status": 409, "code": "FileAlreadyExists"},
    "cut before": {"action": "cut", "at": "before"},
    "cut in body": {"action": "cut", "at": "body"},
    "cut after": {"action": "cut", "at": "after"},
    "wrong crc": {"action": "wrong_crc"},
    "portal": {"action": "captive_portal"},
    "half an answer": {"action": "truncate"},
}
STAGES = [
    ("InitiateMultipartUpload", 1),
    ("UploadPart", 1),
    ("CompleteMultipartUpload", 1),
    ("PutObject", 1),
    ("ListObjectsV2", 1),
    ("ListMultipartUploads", 1),
    ("ListParts", 1),
    ("HeadObject", 1),
]
# In the midst of what several workers do, and at its end.
LATER = [
    ("InitiateMultipartUpload", 2),
    *(("UploadPart", number) for number in range(2, 5)),
    ("CompleteMultipartUpload", 2),
    ("PutObject", 2),
    ("ListMultipartUploads", 2),
]
# Those that are not asked again, as they may be meant.
MAY_FAIL = {
    "forbidden",
    "bad keys",
    "refused",
    "no upload",
    "taken",
    "portal",
    "half an answer",
}
ONCE = {"forbidden", "bad keys", "refused", "503", "429"}
CUTS = ("cut before", "cut in body", "cut after")


def leave_something(root: Path, box: Sandbox) -> None:
    """A part and an object of an earlier run, so that every call is made."""
    leave(box, root, FIRST, PART, 1)
    name = "tokenizer.json"
    box.oss.put(box.bucket, PREFIX + name, [(root / name).read_bytes()])


def small_model(root: Path, *shards: str) -> Path:
    """Shards of two parts each, and two small files."""
    root.mkdir()
    for number, name in enumerate(shards, 1):
        (root / name).write_bytes(os.urandom(PART + number))
    for name in ("config.json", "tokenizer.json"):
        (root / name).write_bytes(os.urandom(500))
    return root


def stages(name: str) -> list[tuple[str, int]]:
    """Where a fault happens once: each operation's first call, and some later ones.

    Each fault has others of those, and each of those other faults; all of them meet in
    `make fuzz`.
    """
    first, count = list(FAULTS).index(name), min(examples(2), len(LATER))
    return STAGES + [LATER[(first + i * 3) % len(LATER)] for i in range(count)]


def lasting(name: str) -> list[tuple[str, int]]:
    """Where a fault comes each time.

    Those of ONCE are told at once, so that the first is the last anyway; a status is
    like another, and a cut like another, that comes every time: `make fuzz` has all.
    """
    if examples(1) > 1:
        return STAGES
    if name in CUTS:
        return STAGES[CUTS.index(name) :: len(CUTS)]
    return [] if name in ONCE else STAGES


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_well_or_in_a_named_error(
    sandbox: Sandbox, client: BucketClient, tmp_path: Path, name: str
) -> None:
    root = small_model(tmp_path / "model", FIRST, SECOND)
    for operation, number in stages(name):
        one = fault(operation, nth=number, times=1, **FAULTS[name])
        try_with(one, root, sandbox, client, may_fail=name in MAY_FAIL)
    # What never goes well ends it, whatever else is there.
    root = small_model(tmp_path / "smaller", FIRST)
    for operation, _ in lasting(name):
        one = fault(operation, times="always", **FAULTS[name])
        try_with(one, root, sandbox, client, may_fail=True)


def try_with(
    one: Fault, root: Path, box: Sandbox, client: BucketClient, *, may_fail: bool
) -> None:
    empty(box)
    if one.operation in ("ListParts", "HeadObject"):
        leave_something(root, box)
    box.faults.add(one)
    try:
        verify(client, send(root, box, client))
    except PreflightError as exc:
        assert exc.exit_code in (4, 5), one  # noqa: PT017 - it may also succeed
        assert may_fail, one
        box.faults.clear()
        send(root, box, client)
    assert is_all_there(root, box), one
