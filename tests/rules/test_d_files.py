from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from preflight.destination import parse_destination
from preflight.errors import UsageError
from preflight.findings import Result, Severity, WeightType
from preflight.model.files import FileEntry, FileKind, walk
from preflight.model.inspection import inspect
from preflight.model.location import Location
from preflight.rules import run_rule
from preflight.rules.d_files import (
    json_files_readable,
    names_fit_for_objects,
    no_empty_files,
    no_lfs_pointers,
    nothing_unfinished,
    objects_can_be_read,
    regular_files,
)
from preflight.upload.plan import plan_upload
from tests.cases import case
from tests.rules import inputs
from tests.rules.inputs import HERE, entry, files, problems, severities, told

LORA, FULL = WeightType.LORA, WeightType.FULL
BUCKET = Location(Path("one"), "oss://bucket/one/")
BLOB = "4d7a2146" * 8
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"


def test_pointers_are_named_together() -> None:
    assert problems(no_lfs_pointers, pointers=()) == []
    names = tuple(f"model-{n}.safetensors" for n in range(8))
    found = problems(no_lfs_pointers, pointers=names)
    assert len(found) == 1
    assert "and 2 more" in found[0].message


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "merges.txt"])
def test_pointer_in_any_file_that_goes_up(name: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x" * 2000)
    (tmp_path / name).write_bytes(POINTER)
    (tmp_path / "training_args.bin").write_bytes(POINTER)
    assert inspect(tmp_path).pointers == (name,)


def _link(
    name: str, target: str, *, inside: bool = False, kind: FileKind = FileKind.FILE
) -> FileEntry:
    return entry(name, target=Path(target), inside=inside, kind=kind)


def test_links_and_special_files() -> None:
    cases: list[tuple[FileEntry, int]] = [
        (entry("config.json"), 0),
        (_link("config.json", "/models/run 1/base.json", inside=True), 0),
        (_link("config.json", "/elsewhere/config.json"), 1),
        (_link("config.json", f"/hub/blobs/{BLOB}"), 0),
        (_link("config.json", f"/hub/blobs/{BLOB[:40]}"), 0),
        (_link("config.json", "/hub/blobs/config.json"), 1),
        (entry("config.json", kind=FileKind.DANGLING, target=Path("/gone")), 1),
        (entry("config.json", kind=FileKind.SPECIAL), 1),
        (entry("notes.fifo", kind=FileKind.SPECIAL), 0),
        (_link("wandb", "/elsewhere", kind=FileKind.DIRECTORY), 0),
        (_link("notes.txt", "/etc/passwd"), 0),
    ]
    for found, count in cases:
        with case(found, count):
            made = files(found)
            assert len(problems(regular_files, files=made, weight_type=LORA)) == count


def test_each_odd_entry_has_its_remedy(tmp_path: Path) -> None:
    there = tmp_path / "x"
    made = inputs.files(
        inputs.entry("config.json", kind=FileKind.DANGLING, target=there),
        inputs.entry("tokenizer.json", kind=FileKind.SPECIAL),
        inputs.entry("vocab.json", target=there, inside=False),
    )
    found = problems(regular_files, files=made, weight_type=LORA)
    fixes = [problem.fix or regular_files.fix for problem in found]
    assert [fix.split()[0] for fix in fixes] == ["Download", "Put", "Copy"]
    assert "cp -rL" in fixes[-1]


def _dangling(path: Path) -> None:
    path.symlink_to("/nonexistent/file")


def _outside(path: Path) -> None:
    target = path.parent.parent / "elsewhere.txt"
    target.write_text("x")
    path.symlink_to(target)


def _blob(path: Path) -> None:
    target = path.parent.parent / "blobs" / BLOB
    target.parent.mkdir()
    target.write_text("x")
    path.symlink_to(target)


def _inside(path: Path) -> None:
    (path.parent / "other.txt").write_text("x")
    path.symlink_to("other.txt")


@pytest.mark.parametrize("name", ["tokenizer.json", "notes.txt", "LICENSE.txt"])
@pytest.mark.parametrize("put", [_dangling, _outside, _blob, _inside, os.mkfifo])
def test_check_refuses_what_the_upload_refuses(
    put: object, name: str, tmp_path: Path
) -> None:
    directory = tmp_path / "model"
    directory.mkdir()
    assert callable(put)
    put(directory / name)
    found = inspect(directory)
    refused = False
    try:
        plan_upload(walk(directory), parse_destination("oss://bucket/m/"), LORA)
    except UsageError:
        refused = True
    facts = {"files": found.files, "weight_type": LORA}
    assert bool(problems(regular_files, **facts)) is refused


def test_files_of_0_bytes() -> None:
    cases: list[tuple[str, int, int]] = [
        ("tokenizer.json", 0, 1),
        ("tokenizer.json", 1, 0),
        ("adapter_model.safetensors", 0, 1),
        ("README.md", 0, 0),
        ("LICENSE", 0, 0),
        ("__init__.py", 0, 0),
    ]
    for name, size, count in cases:
        with case(name, size, count):
            made = files(entry(name, size=size))
            assert len(problems(no_empty_files, files=made, weight_type=LORA)) == count


def test_remains_of_a_save() -> None:
    cases: list[tuple[str, int]] = [
        ("adapter_model.safetensors.tmp", 1),
        ("adapter_model.safetensors.lock", 1),
        (".adapter_model.safetensors.Ab12Cd", 1),
        (".tmpAb12Cd", 1),
        ("w.incomplete", 1),
        ("model-00001-of-00002.safetensors.aria2", 1),
        (".cache/huggingface/download/x.incomplete", 1),
        (".cache/huggingface/download/x.lock", 0),
        (".cache/huggingface/download/config.json.metadata", 0),
        ("poetry.lock", 0),
        ("notes.tmp", 0),
        (".gitignore", 0),
        ("checkpoint-500/w.incomplete", 0),
    ]
    for name, count in cases:
        with case(name, count):
            found = inputs.walk(name)
            facts = {"walk": found, "weight_type": LORA}
            assert severities(nothing_unfinished, **facts) == [Severity.WARNING] * count


@pytest.mark.parametrize(
    ("name", "count"), [("tmp-checkpoint-500", 1), ("checkpoint-500", 0)]
)
def test_remains_of_a_checkpoint(name: str, count: int) -> None:
    found = inputs.walk(entry(name, kind=FileKind.DIRECTORY))
    assert len(problems(nothing_unfinished, walk=found, weight_type=LORA)) == count


def test_names_of_objects() -> None:
    cases: list[tuple[str, str]] = [
        ("LICENSE-MIT.txt", ""),
        ("LICENSE\nMIT.txt", "control"),
        ("LICENSE\u202e.txt", "control"),
        ("LICENSE\\MIT.txt", "backslash"),
        ("LICENSE\udce9.txt", "not UTF-8"),
        ("LICENSE" + "é" * 124 + ".txt", "255"),
        ("notes\n.txt", ""),
    ]
    for name, words in cases:
        with case(name, words):
            text = told(names_fit_for_objects, files=files(name), weight_type=LORA)
            assert words in text if words else text == ""


def test_names_that_differ_by_case() -> None:
    twins = files("LICENSE-a.txt", "LICENSE-A.txt")
    assert len(problems(names_fit_for_objects, files=twins, weight_type=FULL)) == 1
    left_behind = files("README.md", "readme.md")
    assert not problems(names_fit_for_objects, files=left_behind, weight_type=FULL)


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("generation_config.json", b"{}", 0),
        ("generation_config.json", b'{"a": 1,}', 1),
        ("preprocessor_config.json", b"\xef\xbb\xbf{}", 1),
        ("generation_config.json", b"", 0),  # D13 tells of it
        ("generation_config.json", POINTER, 0),  # D11 tells of it
        ("adapter_config.json", b"[]", 0),  # C01 tells of it
        ("trainer_state.json", b"{", 0),
        ("notes.json", b"{", 0),
    ],
)
def test_json_that_goes_up(
    name: str, content: bytes, count: int, tmp_path: Path
) -> None:
    (tmp_path / "adapter_model.safetensors").write_bytes(b"x" * 2000)
    (tmp_path / name).write_bytes(content)
    found = inspect(tmp_path)
    facts = {name: getattr(found, name) for name in json_files_readable.reads}
    assert len(problems(json_files_readable, **facts)) == count


def test_other_json_files_are_not_read(tmp_path: Path) -> None:
    for name in ("train.json", "args.json", "config.json"):
        (tmp_path / name).write_text("{}")
    assert set(inspect(tmp_path).documents) == {"args.json", "config.json"}


def test_archived_objects_are_told_of_a_bucket_alone() -> None:
    archived = replace(entry("adapter_config.json"), storage_class="Archive")
    facts = {"files": files(archived, "adapter_model.safetensors"), "weight_type": LORA}
    assert told(objects_can_be_read, **facts) == (
        "adapter_config.json: is of storage class Archive"
    )
    for rule, place in ((objects_can_be_read, HERE), (regular_files, BUCKET)):
        facts_there = SimpleNamespace(location=place, **facts)
        outcome = run_rule(rule, facts_there)
        assert outcome.result is Result.NOT_APPLICABLE
        assert outcome.reason == f"this is {place.where.value}"
