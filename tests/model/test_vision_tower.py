"""The vision tower, byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from fixtures.full import build_full
from fixtures.tiny import TINY_VL, write_tiny_bases
from preflight.findings import Unavailable
from preflight.model.headers import Container, read_container
from preflight.model.reference import Reference, read_reference
from preflight.model.steady import open_regular
from preflight.model.tensor_bytes import CHUNK, files_of
from preflight.model.vision_tower import (
    VisionTowerComparison,
    compare_vision_tower,
    is_visual,
)


@pytest.fixture(autouse=True)
def _tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_tiny_bases(tmp_path / "bases")))


def _containers(directory: Path) -> tuple[Container, ...]:
    found = [
        read_container(open_regular(path), path.name)
        for path in sorted(directory.glob("model*.s*"))
    ]
    return tuple(each for each in found if isinstance(each, Container))


def _build(directory: Path, *, dtype: str = "BF16", shard_bytes: int = 60_000) -> Path:
    return build_full(
        directory, base=TINY_VL, sparse=False, dtype=dtype, shard_bytes=shard_bytes
    )


def _compare(mine: Path, base: Path) -> VisionTowerComparison:
    found = compare_vision_tower(
        files_of(mine), _containers(mine), read_reference(base, "the base")
    )
    assert isinstance(found, VisionTowerComparison)
    return found


def _flip(directory: Path, part: str) -> str:
    """Change the last byte of the last tensor whose name has `part` in it."""
    for container in _containers(directory):
        names = [t for t in container.tensors if part in t.name]
        if names:
            with (directory / container.file).open("r+b") as file:
                file.seek(names[-1].end - 1)
                byte = file.read(1)
                file.seek(names[-1].end - 1)
                file.write(bytes([byte[0] ^ 1]))
            return names[-1].name
    raise AssertionError(part)


def test_same_tower_in_other_shards(tmp_path: Path) -> None:
    base, mine = _build(tmp_path / "base"), _build(tmp_path / "m", shard_bytes=200_000)
    found = _compare(mine, base)
    assert found.compared > 10
    assert (found.different, found.unlike) == ((), ())


def test_one_byte_of_the_tower(tmp_path: Path) -> None:
    base, mine = _build(tmp_path / "base"), _build(tmp_path / "mine")
    name = _flip(mine, "visual")
    assert _compare(mine, base).different == (name,)


def test_other_layers_may_differ(tmp_path: Path) -> None:
    base, mine = _build(tmp_path / "base"), _build(tmp_path / "mine")
    _flip(mine, "layers.0.self_attn")
    assert _compare(mine, base).different == ()


def _save(directory: Path, **arrays: np.ndarray) -> Path:
    directory.mkdir()
    named = {f"visual.{name}": array for name, array in arrays.items()}
    save_file(named, directory / "model.safetensors")
    return directory


def test_difference_beyond_the_first_chunk(tmp_path: Path) -> None:
    values = np.zeros(CHUNK, np.float32)
    changed = values.copy()
    changed[-1] = 1
    base = _save(tmp_path / "base", a=values, b=values)
    mine = _save(tmp_path / "mine", a=values, b=changed)
    assert _compare(mine, base).different == ("visual.b",)


def test_widened_copy_is_the_same(tmp_path: Path) -> None:
    """A tower saved in F32 from BF16: every value is exactly the same."""
    base = _build(tmp_path / "base")
    (container, *_) = [
        c for c in _containers(base) if any(is_visual(t.name) for t in c.tensors)
    ]
    tensor = next(t for t in container.tensors if is_visual(t.name))
    with (base / container.file).open("rb") as file:
        file.seek(tensor.start)
        narrow = np.frombuffer(file.read(tensor.size), np.uint16)
    wide = (narrow.astype(np.uint32) << 16).view(np.float32).reshape(tensor.shape)
    mine = tmp_path / "mine"
    mine.mkdir()
    save_file({tensor.name: wide}, mine / "model.safetensors")
    found = _compare(mine, base)
    assert (found.compared, found.different, found.unlike) == (1, (), ())
    wide.view(np.uint32)[-1] |= 1  # no BF16 number any more
    save_file({tensor.name: wide}, mine / "model.safetensors")
    assert _compare(mine, base).different == (tensor.name,)


def test_other_precision_or_shape_is_not_judged(tmp_path: Path) -> None:
    half, flat = np.ones((2, 2), np.float16), np.ones(4, np.float32)
    base = _save(tmp_path / "base", a=np.ones((2, 2), np.float32), b=flat)
    mine = _save(tmp_path / "mine", a=half, b=flat.reshape(2, 2))
    assert set(_compare(mine, base).unlike) == {"visual.a", "visual.b"}


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    mine = _build(tmp_path / "mine")
    containers, none = _containers(mine), Unavailable("there is no copy")
    assert compare_vision_tower(files_of(mine), none, none) is none
    assert compare_vision_tower(files_of(mine), containers, none) is none
    plain = tmp_path / "plain"
    plain.mkdir()
    save_file({"model.norm.weight": np.ones(4)}, plain / "model.safetensors")
    text = compare_vision_tower(
        files_of(mine), containers, read_reference(plain, "the base")
    )
    assert isinstance(text, Unavailable)
    empty: Reference = read_reference(tmp_path / "bases", "the base")
    assert isinstance(
        compare_vision_tower(files_of(mine), containers, empty), Unavailable
    )


def test_file_that_shrinks_or_vanishes(tmp_path: Path) -> None:
    base, mine = _build(tmp_path / "base"), _build(tmp_path / "mine")
    containers, copy = _containers(mine), read_reference(base, "the base")
    first = next(c for c in containers if any(is_visual(t.name) for t in c.tensors))
    path = mine / first.file
    path.write_bytes(path.read_bytes()[: first.data_start])
    shrunk = compare_vision_tower(files_of(mine), containers, copy)
    assert isinstance(shrunk, Unavailable)
    assert "shrank" in shrunk.reason
    path.unlink()
    gone = compare_vision_tower(files_of(mine), containers, copy)
    assert isinstance(gone, Unavailable)
    assert "does not exist" in gone.reason


def test_progress_is_told(tmp_path: Path) -> None:
    base = _build(tmp_path / "base")
    done: list[int] = []
    copy = read_reference(base, "the base")
    compare_vision_tower(files_of(base), _containers(base), copy, done.append)
    visual = [t for c in _containers(base) for t in c.tensors if is_visual(t.name)]
    assert sum(done) == sum(tensor.size for tensor in visual)
