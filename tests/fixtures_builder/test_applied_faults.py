from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import SafetensorError, safe_open

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS, FULL, LORA, Family, Fault, Inapplicable, codes_of
from fixtures.faults.codes import _CODES
from fixtures.full import build_full
from fixtures.tensors import SIZES, read_tensors
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from preflight.findings import Verdict
from tests.fixtures_builder.tree import tree

LORA_FAULTS = sorted(one.name for one in FAULTS.values() if one.kinds & LORA)
FULL_FAULTS = sorted(one.name for one in FAULTS.values() if one.kinds & FULL)

NEED_A_TEMPLATE = {"template-newline", "template-crlf", "template-word"}

# What the library itself refuses to open, by its own words on a malformed header.
REFUSED = {
    "all-zero-file", "duplicate-name", "header-120-mb", "header-2-63",
    "header-bad-json", "header-deep",
    "header-hole", "header-list", "header-not-utf8", "header-overlap",
    "header-reversed", "header-shape", "html", "lfs-pointer", "negative-shape",
    "no-offsets", "number-metadata", "one-byte-short", "renamed-gguf", "renamed-zip",
    "seven-bytes", "shape-overflow", "trailing-bytes", "truncated",
    "truncated-header", "unknown-dtype", "zero-byte-weights",
}  # fmt: skip


def _break(directory: Path, one: Fault) -> None:
    before = tree(directory)
    one.apply(directory)
    assert tree(directory) != before, f"{one.name} changed nothing"


@pytest.mark.parametrize("name", LORA_FAULTS)
def test_fault_changes_an_adapter(name: str, tmp_path: Path) -> None:
    directory = tmp_path / "adapter"
    build_adapter(directory, base=TINY_TEXT, trainer="trl", template=TINY_TEMPLATE)
    _break(directory, FAULTS[name])


@pytest.mark.parametrize("name", FULL_FAULTS)
def test_fault_changes_a_full_model(name: str, tmp_path: Path) -> None:
    def build(base: str) -> Path:
        return build_full(
            tmp_path / base, base=base, sparse=False, shard_bytes=60_000,
            template=TINY_TEMPLATE,
        )  # fmt: skip

    try:
        _break(build(TINY_TEXT), FAULTS[name])
    except Inapplicable:
        _break(build(TINY_VL), FAULTS[name])


@pytest.mark.parametrize("name", LORA_FAULTS)
def test_fault_needs_no_tokenizer_and_no_new_peft(name: str, tmp_path: Path) -> None:
    old = "peft-0.4"
    directory = build_adapter(tmp_path / "a", base=TINY_TEXT, rank=8, trainer=old)
    if name in NEED_A_TEMPLATE:
        with pytest.raises(Inapplicable, match=r"no chat_template\.jinja"):
            FAULTS[name].apply(directory)
    else:
        _break(directory, FAULTS[name])


def _opens(path: Path) -> bool:
    try:
        with safe_open(path, framework="numpy") as opened:
            return len(opened.keys()) >= 0
    except SafetensorError:
        return False


CONTAINER_FAULTS = sorted(
    one.name
    for one in FAULTS.values()
    if one.family is Family.CONTAINER and one.kinds & LORA
)


@pytest.mark.parametrize("name", CONTAINER_FAULTS)
def test_library_agrees_on_what_is_malformed(name: str, tmp_path: Path) -> None:
    directory = build_adapter(tmp_path / "a", base=TINY_TEXT)
    FAULTS[name].apply(directory)
    assert _opens(directory / "adapter_model.safetensors") is (name not in REFUSED)


def test_empty_adapter_is_40_bytes(tmp_path: Path) -> None:
    directory = build_adapter(tmp_path / "a", base=TINY_TEXT)
    FAULTS["empty-file-40"].apply(directory)
    assert (directory / "adapter_model.safetensors").stat().st_size == 40


@pytest.mark.parametrize("name", ["truncated", "nan-last", "orig-mod", "rank-12"])
def test_same_fault_same_bytes(name: str, tmp_path: Path) -> None:
    trees = []
    for folder in ("one", "two"):
        directory = build_adapter(tmp_path / folder, base=TINY_TEXT)
        FAULTS[name].apply(directory)
        trees.append(tree(directory))
    assert trees[0] == trees[1]


def _last_value(directory: Path) -> bytes:
    path = sorted(directory.glob("*.safetensors"))[-1]
    last = read_tensors(path)[-1]
    return path.read_bytes()[-SIZES[last.dtype] :]


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_nan_is_the_very_last_value(dtype: str, tmp_path: Path) -> None:
    directory = build_adapter(tmp_path / "a", base=TINY_TEXT, dtype=dtype)
    FAULTS["nan-last"].apply(directory)
    patterns = {"F32": b"\x00\x00\xc0\x7f", "F16": b"\x00~", "BF16": b"\xc0\x7f"}
    assert _last_value(directory) == patterns[dtype]


def test_fault_in_a_sparse_model_keeps_it_sparse(tmp_path: Path) -> None:
    directory = build_full(tmp_path / "m", base="qwen3-8b")
    FAULTS["tensor-missing"].apply(directory)
    paths = list(directory.glob("model-*.safetensors"))
    assert sum(path.stat().st_size for path in paths) > 16_000_000_000
    assert sum(path.stat().st_blocks * 512 for path in paths) < 1_000_000


def test_full_model_faults_leave_no_second_fault(tmp_path: Path) -> None:
    """A shard set that a full-model fault saved anew has its index in order."""
    directory = build_full(
        tmp_path / "m", base=TINY_VL, sparse=False, shard_bytes=60_000
    )
    FAULTS["tower-missing"].apply(directory)
    index = json.loads((directory / "model.safetensors.index.json").read_text())
    paths = sorted(directory.glob("model-*.safetensors"))
    found = {t.name: path.name for path in paths for t in read_tensors(path)}
    assert index["weight_map"] == found
    assert all(
        path.name.endswith(f"-of-{len(paths):05d}.safetensors") for path in paths
    )


def test_links_and_special_files_are_what_they_say(tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        directory = build_adapter(tmp_path / name, base=TINY_TEXT, rank=8)
        FAULTS[name].apply(directory)
        return directory / "adapter_model.safetensors"

    assert broken("fifo").is_fifo()
    assert broken("socket").is_socket()
    assert broken("weights-folder").is_dir()
    assert not broken("dangling-link").exists()
    outside = broken("link-outside").resolve()
    assert not outside.is_relative_to(tmp_path / "link-outside")
    assert outside.stat().st_size > 1000


def test_names_that_terminals_and_stores_dislike(tmp_path: Path) -> None:
    directory = build_adapter(tmp_path / "a", base=TINY_TEXT, rank=8)
    for name in ("newline-name", "escape-name", "binary-name", "long-name"):
        FAULTS[name].apply(directory)
    names = [os.fsencode(path.name) for path in directory.iterdir()]
    assert b"notes\nmore.txt" in names
    assert b"\x1b[2Jnotes.txt" in names
    assert b"caf\xe9.txt" in names
    assert max(map(len, names)) == 255
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    "described", [lambda one: one.about, lambda one: one.name, lambda one: one.kinds]
)
def test_every_fault_is_described(described: Callable[[Fault], object]) -> None:
    assert all(described(one) for one in FAULTS.values())


def test_faults_are_many_and_named_once() -> None:
    assert len(FAULTS) > 250
    assert all(name == one.name and " " not in name for name, one in FAULTS.items())
    assert {one.family for one in FAULTS.values()} == set(Family)


def test_every_code_names_faults_that_exist() -> None:
    named = {name for names in _CODES.values() for name in names.split()}
    assert named <= FAULTS.keys()


def test_faults_that_must_be_reported_have_a_code() -> None:
    silent = {one.name for one in FAULTS.values() if not codes_of(one.name)}
    assert {FAULTS[name].expected for name in silent} == {Verdict.PASS}


def test_faults_that_must_pass_have_none() -> None:
    passing = {one.name for one in FAULTS.values() if one.expected is Verdict.PASS}
    assert not {name for name in passing if codes_of(name)}
