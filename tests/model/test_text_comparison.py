"""Samples that tell whether weights are the base's own, and a head its embedding."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from preflight.findings import Unavailable
from preflight.model.headers import Reading, read_container
from preflight.model.reference import Reference, read_reference
from preflight.model.steady import open_regular
from preflight.model.tensor_bytes import files_of, samples_of
from preflight.model.text_comparison import (
    TextComparison,
    compare_text,
    head_is_the_embedding,
)

Tensors = Mapping[str, Any]
NAME = "model.safetensors"


def random(seed: int, *shape: int) -> Any:  # noqa: ANN401
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


LAYERS = {
    "model.embed_tokens.weight": random(1, 4000, 8),
    "model.layers.0.self_attn.q_proj.weight": random(2, 64, 64),
    "model.norm.weight": random(3, 64),
    "visual.patch_embed.proj.weight": random(4, 8, 8),
}


def saved(directory: Path, tensors: Tensors) -> tuple[Reading, ...]:
    directory.mkdir(exist_ok=True)
    save_file(dict(tensors), directory / NAME)
    return (read_container(open_regular(directory / NAME), NAME),)


def copy_of_the_base(directory: Path, tensors: Tensors = LAYERS) -> Reference:
    saved(directory, tensors)
    return read_reference(directory, "here")


def test_what_is_the_same_and_what_differs(tmp_path: Path) -> None:
    base = copy_of_the_base(tmp_path / "base")
    mine = tmp_path / "mine"
    assert compare_text(files_of(mine), saved(mine, LAYERS), base) == TextComparison(
        3, 0
    )
    for name, value in LAYERS.items():
        changed = {**LAYERS, name: value * 1.5}
        different = 0 if name.startswith("visual") else 1
        found = compare_text(files_of(mine), saved(mine, changed), base)
        assert found == TextComparison(3, different), name


def test_only_what_can_be_compared_is_compared(tmp_path: Path) -> None:
    base = copy_of_the_base(tmp_path / "base")
    mine = tmp_path / "mine"
    half = {name: value.astype(np.float16) for name, value in LAYERS.items()}
    found = compare_text(files_of(mine), saved(mine, half), base)
    assert isinstance(found, Unavailable)
    fewer = {**half, "model.norm.weight": LAYERS["model.norm.weight"]}
    assert compare_text(files_of(mine), saved(mine, fewer), base) == TextComparison(
        1, 0
    )
    nothing = Unavailable("there is none")
    assert compare_text(files_of(mine), nothing, base) == nothing
    assert compare_text(files_of(mine), saved(mine, LAYERS), nothing) == nothing
    containers = saved(mine, LAYERS)
    (mine / NAME).unlink()
    assert "does not exist" in str(compare_text(files_of(mine), containers, base))


@pytest.mark.parametrize(
    ("head", "same"),
    [
        (LAYERS["model.embed_tokens.weight"], True),
        (LAYERS["model.embed_tokens.weight"] * 1.01, False),
        (LAYERS["model.embed_tokens.weight"][:100], False),
    ],
)
def test_a_head_and_its_embedding(tmp_path: Path, head: object, same: bool) -> None:
    containers = saved(tmp_path, {**LAYERS, "lm_head.weight": head})
    assert head_is_the_embedding(files_of(tmp_path), containers) is same


def test_a_head_of_which_one_stretch_was_trained(tmp_path: Path) -> None:
    embedding = random(1, 20_000, 64)
    head = embedding.copy()
    head[7000:9000] *= 1.01
    tensors = {"model.embed_tokens.weight": embedding, "lm_head.weight": head}
    assert head_is_the_embedding(files_of(tmp_path), saved(tmp_path, tensors)) is False


def test_there_is_no_head(tmp_path: Path) -> None:
    found = head_is_the_embedding(files_of(tmp_path), saved(tmp_path, LAYERS))
    assert isinstance(found, Unavailable)


def test_samples_are_spread_and_never_beyond_the_end(tmp_path: Path) -> None:
    (container,) = saved(tmp_path, LAYERS)
    for tensor in getattr(container, "tensors", ()):
        found = list(samples_of(tensor, count=4, size=100))
        assert found[0].start == 0
        assert found[-1].stop <= tensor.size
        assert len(found) >= min(4, tensor.size // 100)
        assert all(one.stop <= two.start for one, two in itertools.pairwise(found))
