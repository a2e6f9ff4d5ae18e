from __future__ import annotations

import os
from pathlib import Path

import pytest

from preflight.destination import Destination
from preflight.errors import PreflightError, UsageError
from preflight.findings import WeightType
from preflight.model.files import FileEntry, FileKind, walk
from preflight.upload.plan import UploadPlan, plan_upload

LORA, FULL = WeightType.LORA, WeightType.FULL
DESTINATION = Destination("bucket", "models/a/")


def directory(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def plan(root: Path, weight_type: WeightType = LORA) -> UploadPlan:
    return plan_upload(walk(root), DESTINATION, weight_type)


def test_weights_go_first_and_key_configs_last(tmp_path: Path) -> None:
    directory(tmp_path, "config.json", "adapter_config.json", "vocab.json")
    directory(tmp_path, "adapter_model.safetensors", "README.md", "merges.txt")
    found = plan(tmp_path)
    assert [item.name for item in found.items] == [
        "adapter_model.safetensors",
        "README.md",
        "merges.txt",
        "vocab.json",
        "adapter_config.json",
        "config.json",
    ]
    assert found.items[0].key == "models/a/adapter_model.safetensors"
    assert found.total_bytes == sum(len(item.name) for item in found.items)


def test_larger_shards_go_first(tmp_path: Path) -> None:
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"a")
    (tmp_path / "model-00002-of-00002.safetensors").write_bytes(b"aa")
    names = [item.name for item in plan(tmp_path, FULL).items]
    assert names == [
        "model-00002-of-00002.safetensors",
        "model-00001-of-00002.safetensors",
    ]


def test_an_item_remembers_what_the_file_was(tmp_path: Path) -> None:
    directory(tmp_path, "config.json")
    item, found = plan(tmp_path).items[0], (tmp_path / "config.json").stat()
    assert (item.size, item.mtime_ns) == (found.st_size, found.st_mtime_ns)


def test_all_else_stays_behind_with_a_reason(tmp_path: Path) -> None:
    directory(tmp_path, "config.json", ".env", "optimizer.pt", "sub/config.json")
    directory(tmp_path, "checkpoint-1/adapter_model.safetensors", "model.safetensors")
    found = plan(tmp_path)
    assert [item.name for item in found.items] == ["config.json"]
    assert {(left.name, left.reason) for left in found.excluded} == {
        (".env", "may hold a secret"),
        ("optimizer.pt", "optimizer or trainer state"),
        ("sub/config.json", "in a sub-directory"),
        (
            "checkpoint-1/adapter_model.safetensors",
            "in a checkpoint's directory",
        ),
        ("model.safetensors", "belongs to another kind of import"),
    }
    assert {left.size for left in found.excluded if left.name == ".env"} == {4}


def test_generated_files_replace_local_ones(tmp_path: Path) -> None:
    directory(tmp_path, "config.json", "vocab.json")
    found = plan_upload(
        walk(tmp_path), DESTINATION, LORA, generated={"config.json": b"{}"}
    )
    assert [(item.name, item.source) for item in found.items] == [
        ("vocab.json", tmp_path / "vocab.json"),
        ("config.json", b"{}"),
    ]
    assert found.items[-1].size == 2
    assert found.excluded[0].reason == "replaced by a generated file"


def test_generated_files_obey_the_allow_list(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="allow-list"):
        plan_upload(walk(tmp_path), DESTINATION, LORA, generated={"notes": b""})


def test_a_cache_snapshot_is_followed_to_its_blobs(tmp_path: Path) -> None:
    blob = tmp_path / "blobs" / ("ab12" * 10)
    snapshot = tmp_path / "snapshots" / "main"
    directory(tmp_path, f"blobs/{blob.name}")
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to(f"../../blobs/{blob.name}")
    item = plan(snapshot).items[0]
    assert (item.name, item.size) == ("config.json", blob.stat().st_size)


@pytest.mark.parametrize("place", ["secret/config.json", "blobs/config.json"])
def test_a_link_that_leaves_the_directory_stops_the_plan(
    tmp_path: Path, place: str
) -> None:
    directory(tmp_path, place)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").symlink_to(tmp_path / place)
    with pytest.raises(UsageError, match="leaves the directory"):
        plan(model)


def test_a_link_within_the_directory_is_fine(tmp_path: Path) -> None:
    directory(tmp_path, "sub/real.json")
    (tmp_path / "config.json").symlink_to("sub/real.json")
    assert [item.name for item in plan(tmp_path).items] == ["config.json"]


def test_a_linked_directory_is_reported_not_entered(tmp_path: Path) -> None:
    directory(tmp_path, "other/config.json")
    model = directory(tmp_path / "model", "config.json")
    (model / "more").symlink_to(tmp_path / "other")
    found = plan(model)
    assert [item.name for item in found.items] == ["config.json"]
    assert [(left.name, left.reason) for left in found.excluded] == [
        ("more", "link to a directory")
    ]


def test_what_cannot_be_read_stops_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for kind, words in (
        (FileKind.DANGLING, "dangling link"),
        (FileKind.SPECIAL, "special file"),
    ):
        with pytest.raises(UsageError, match=words):
            plan_upload([FileEntry("config.json", path, kind)], DESTINATION, LORA)
    closed = FileEntry("config.json", path, FileKind.FILE, readable=False)
    with pytest.raises(UsageError, match="cannot be read"):
        plan_upload([closed], DESTINATION, LORA)


def test_junk_that_cannot_be_read_does_not_stop_it(tmp_path: Path) -> None:
    pipe = FileEntry("train.log", tmp_path / "train.log", FileKind.SPECIAL)
    assert plan_upload([pipe], DESTINATION, LORA).excluded[0].reason == "log"


def test_a_key_is_limited_in_bytes(tmp_path: Path) -> None:
    directory(tmp_path, "config.json")
    fits = Destination("bucket", "p" * (1023 - len("/config.json")) + "/")
    assert len(plan_upload(walk(tmp_path), fits, LORA).items[0].key) == 1023
    with pytest.raises(UsageError, match="1024 bytes"):
        plan_upload(walk(tmp_path), Destination("bucket", "p" + fits.prefix), LORA)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        (b"LICENSE\xff.txt", "not valid UTF-8"),
        (b"LICENSE\x01.txt", "control character"),
    ],
)
def test_a_name_that_no_object_can_have_stops_the_plan(
    tmp_path: Path, name: bytes, fault: str
) -> None:
    (tmp_path / os.fsdecode(name)).write_bytes(b"weights")
    with pytest.raises(UsageError, match=f"the object key of .* {fault}"):
        plan(tmp_path, FULL)


def test_names_that_differ_by_case_only_are_refused(tmp_path: Path) -> None:
    entries = [
        FileEntry(name, tmp_path / name, FileKind.FILE)
        for name in ("LICENSE-A.txt", "LICENSE-a.txt")
    ]
    with pytest.raises(UsageError, match="letter case"):
        plan_upload(entries, DESTINATION, LORA)
