from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from preflight.errors import SourceChanged
from preflight.oss.access import OssAccess
from preflight.oss.inspector import BucketInspector
from preflight.sandbox import Sandbox
from preflight.upload.compare import compare
from tests.upload.small_model import FIRST, PREFIX, Told, make_model, plan_for


@pytest.fixture
def model(tmp_path: Path, sandbox: Sandbox) -> Path:
    """A directory whose files lie in the bucket as they are."""
    root = make_model(tmp_path / "model")
    for path in root.iterdir():
        sandbox.oss.put(sandbox.bucket, PREFIX + path.name, [path.read_bytes()])
    return root


@pytest.fixture
def inspector(sandbox: Sandbox, access: OssAccess) -> Iterator[BucketInspector]:
    with BucketInspector(access, sandbox.bucket) as made:
        yield made


def changes(root: Path, box: Sandbox, bucket: BucketInspector, told: Told) -> list[str]:
    """`name reason` of all that would change."""
    found = compare(plan_for(root, box), bucket.snapshot(PREFIX), bucket, progress=told)
    return [f"{one.key.removeprefix(PREFIX)} {one.reason}" for one in found]


def test_the_same_files_change_nothing(
    model: Path, sandbox: Sandbox, inspector: BucketInspector
) -> None:
    """Nor does one that is made here and lies in no directory."""
    told = Told()
    assert changes(model, sandbox, inspector, told) == []
    plan = plan_for(model, sandbox)
    assert told.bytes == plan.total_bytes
    (item,) = (each for each in plan.items if each.name == "config.json")
    made = replace(item, source=(model / item.name).read_bytes())
    told, only = Told(), replace(plan, items=(made,))
    assert not list(compare(only, inspector.snapshot(PREFIX), inspector, progress=told))
    assert told.bytes == item.size


def test_sizes_are_enough_when_they_differ(
    model: Path, sandbox: Sandbox, inspector: BucketInspector
) -> None:
    told = Told()
    (model / "config.json").write_bytes(b"{}")
    sandbox.oss.delete(sandbox.bucket, PREFIX + FIRST)
    assert changes(model, sandbox, inspector, told) == [
        f"{FIRST} (new)",
        "config.json (500 → 2 bytes)",
    ]
    assert told.bytes == 0  # nothing was read


def test_other_bytes_of_the_same_size_are_found(
    model: Path, sandbox: Sandbox, inspector: BucketInspector
) -> None:
    (model / "config.json").write_bytes(os.urandom(500))
    found = changes(model, sandbox, inspector, Told())
    assert found == ["config.json (other content)"]


def test_a_file_that_changes_meanwhile_is_an_error(
    model: Path, sandbox: Sandbox, inspector: BucketInspector
) -> None:
    plan, stored = plan_for(model, sandbox), inspector.snapshot(PREFIX)
    os.utime(model / FIRST, ns=(1, 1))
    with pytest.raises(SourceChanged, match=FIRST):
        list(compare(plan, stored, inspector))
