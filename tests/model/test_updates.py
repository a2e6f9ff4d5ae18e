"""The norms of an adapter's updates, against the product made in full."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fixtures.faults import FAULTS
from preflight.findings import Unavailable
from preflight.model.inspection import inspect
from preflight.model.updates import (
    CellState,
    adapter_map,
    compared,
    scale_of,
)
from tests.running import tiny_adapter


def dense(directory: Path) -> dict[str, np.ndarray]:
    """Each module's update, alpha / r · B·A, as a matrix."""
    config = json.loads((directory / "adapter_config.json").read_text("utf-8"))
    tensors = load_file(directory / "adapter_model.safetensors")
    modules = {name.partition(".lora_A")[0] for name in tensors if ".lora_A" in name}
    scale = config["lora_alpha"] / config["r"]
    return {
        module: scale
        * tensors[f"{module}.lora_B.weight"].astype(np.float64)
        @ tensors[f"{module}.lora_A.weight"].astype(np.float64)
        for module in modules
    }


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "adapter")


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_norms_are_those_of_the_products(tmp_path: Path, dtype: str) -> None:
    plain = tiny_adapter(tmp_path / "plain")
    made = tiny_adapter(tmp_path / "made", dtype=dtype)
    found = adapter_map(inspect(made))
    assert not isinstance(found, Unavailable)
    tolerance = {"F32": 1e-9, "F16": 1e-2, "BF16": 2e-2}[dtype]
    norms = {cell.module: cell.norm for cell in found.cells.values()}
    expected = {name: np.linalg.norm(full) for name, full in dense(plain).items()}
    assert norms == pytest.approx(expected, rel=tolerance)
    total = math.sqrt(sum(norm**2 for norm in norms.values()))
    assert found.total == pytest.approx(total)
    assert {cell.state for cell in found.cells.values()} == {CellState.TRAINED}
    assert found.largest == max(norms.values())


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        ("b-all-zero", {CellState.ZERO}),
        ("nan-all", {CellState.NOT_FINITE}),
        ("nan-first", {CellState.NOT_FINITE, CellState.TRAINED}),
        ("b-some-zero", {CellState.ZERO, CellState.TRAINED}),
    ],
)
def test_cells_that_are_zero_or_not_finite(
    adapter: Path, fault: str, states: set[CellState]
) -> None:
    FAULTS[fault].apply(adapter)
    found = adapter_map(inspect(adapter))
    assert not isinstance(found, Unavailable)
    assert {cell.state for cell in found.cells.values()} == states
    assert math.isfinite(found.total)


def test_a_half_that_lacks_the_other_and_a_layer_that_is_not_there(
    adapter: Path,
) -> None:
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    first = next(name for name in tensors if ".layers.0." in name and "lora_A" in name)
    del tensors[first]
    moved = {
        name.replace(".layers.1.", ".layers.2."): value
        for name, value in tensors.items()
    }
    save_file(moved, path)
    found = adapter_map(inspect(adapter))
    assert not isinstance(found, Unavailable)
    assert found.layers == (0, 1, 2)
    assert {found.at(1, kind).state for kind in found.kinds} == {CellState.MISSING}
    states = [found.at(0, kind).state for kind in found.kinds]
    assert states.count(CellState.MISSING) == 1


def test_full_weights_have_no_map(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert isinstance(adapter_map(inspect(tmp_path)), Unavailable)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 32}, 2.0),
        ({"lora_alpha": 32, "use_rslora": True}, 8.0),
        ({"lora_alpha": 32, "alpha_pattern": {"q_proj": 16}}, 1.0),
        ({"lora_alpha": 32, "alpha_pattern": {"v_proj": 16}}, 2.0),
        ({"lora_alpha": 32, "alpha_pattern": {"(": 16}}, 2.0),
        ({"lora_alpha": "many"}, 1.0),
        ({"lora_alpha": True}, 1.0),
        ({}, 1.0),
        (None, 1.0),
    ],
)
def test_the_scale_is_what_peft_multiplies_with(config: object, scale: float) -> None:
    assert scale_of(config, "model.layers.0.self_attn.q_proj", 16) == scale


def test_two_adapters_are_compared_by_norm_and_direction(tmp_path: Path) -> None:
    one = tiny_adapter(tmp_path / "one")
    other = tiny_adapter(tmp_path / "other", seed=7)
    first, second = dense(one), dense(other)
    pairs = {pair.module: pair for pair in compared(inspect(one), inspect(other))}
    assert set(pairs) == set(first)
    for module, pair in pairs.items():
        norms = np.linalg.norm(first[module]), np.linalg.norm(second[module])
        cosine = np.sum(first[module] * second[module]) / (norms[0] * norms[1])
        assert (pair.before, pair.after) == pytest.approx(norms)
        assert pair.cosine == pytest.approx(cosine, abs=1e-9)
    for pair in compared(inspect(one), inspect(one)):
        assert pair.cosine == pytest.approx(1.0)
