from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS, LORA, Family
from fixtures.full import build_full
from fixtures.tensors import SIZES, read_tensors
from fixtures.tiny import TINY_TEXT, TINY_VL
from tests.fixtures_builder.tree import tree

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


def _opens(path: Path) -> bool:
    try:
        with safe_open(path, framework="numpy") as opened:
            return len(opened.keys()) >= 0
    except SafetensorError:
        return False


def test_library_agrees_on_what_is_malformed(tmp_path: Path) -> None:
    for one in FAULTS.values():
        if one.family is Family.CONTAINER and one.kinds & LORA:
            directory = build_adapter(tmp_path / one.name, base=TINY_TEXT)
            one.apply(directory)
            opens = _opens(directory / "adapter_model.safetensors")
            assert opens is (one.name not in REFUSED), one.name


def test_empty_adapter_is_40_bytes(tmp_path: Path) -> None:
    directory = build_adapter(tmp_path / "a", base=TINY_TEXT)
    FAULTS["empty-file-40"].apply(directory)
    assert (directory / "adapter_model.safetensors").stat().st_size == 40


def test_same_fault_same_bytes(tmp_path: Path) -> None:
    for name in ("truncated", "nan-last", "orig-mod", "rank-12"):
        trees = []
        for folder in ("one", "two"):
            directory = build_adapter(tmp_path / folder / name, base=TINY_TEXT)
            FAULTS[name].apply(directory)
            trees.append(tree(directory))
        assert trees[0] == trees[1]


def _last_value(directory: Path) -> bytes:
    path = sorted(directory.glob("*.safetensors"))[-1]
    last = read_tensors(path)[-1]
    return path.read_bytes()[-SIZES[last.dtype] :]


def test_nan_is_the_very_last_value(tmp_path: Path) -> None:
    patterns = {"F32": b"\x00\x00\xc0\x7f", "F16": b"\x00~", "BF16": b"\xc0\x7f"}
    for dtype, pattern in patterns.items():
        directory = build_adapter(tmp_path / dtype, base=TINY_TEXT, dtype=dtype)
        FAULTS["nan-last"].apply(directory)
        assert _last_value(directory) == pattern


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


def test_faults_are_many_and_named_once() -> None:
    assert len(FAULTS) > 250
    assert all(name == one.name and " " not in name for name, one in FAULTS.items())
    assert {one.family for one in FAULTS.values()} == set(Family)
