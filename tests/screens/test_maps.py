"""`show` and `diff` at 80x24: layers are columns, so that 80 are seen at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.running import command, environment
from tests.screens.pseudo_terminal import Screen, show
from tests.screens.test_screens import golden

ATTENTION = tuple(f"self_attn.{leaf}_proj" for leaf in "qkvo")
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
EXPERTS = tuple(
    f"mlp.experts.{number}.{leaf}_proj"
    for number in range(4)
    for leaf in ("gate", "up", "down")
)
NORMS = ("input_layernorm", "post_attention_layernorm", "self_attn.q_norm")


def adapter(
    directory: Path, kinds: Sequence[str], layers: int, *, zero: int = 0, slope: int = 1
) -> Path:
    """One number a half, so that each norm is known: it grows with the layer."""
    directory.mkdir()
    tensors = {}
    for layer in range(layers):
        for kind in kinds:
            key = f"base_model.model.model.layers.{layer}.{kind}"
            size = 0.0 if layer < zero else 0.01 * (layer + 1) ** slope
            tensors[f"{key}.lora_A.weight"] = np.ones((1, 1), np.float32)
            tensors[f"{key}.lora_B.weight"] = np.full((1, 1), size, np.float32)
    save_file(tensors, directory / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 1, "lora_alpha": 1}
    config["target_modules"] = sorted({kind.rpartition(".")[2] for kind in kinds})
    config["base_model_name_or_path"] = "Qwen/Qwen3-8B"
    (directory / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    return directory


def weights(directory: Path, layers: int, *, change: float = 0.0, vision: bool) -> Path:
    directory.mkdir()
    inner = "model.language_model." if vision else "model."
    names = [
        f"{inner}layers.{layer}.{kind}"
        for layer in range(layers)
        for kind in (*ATTENTION, *MLP, *NORMS)
    ]
    names += [f"{inner}embed_tokens", f"{inner}norm", "lm_head"]
    names += [f"model.visual.blocks.{n}.attn.qkv" for n in range(27)] if vision else []
    tensors = {}
    for name in names:
        trained = "norm" not in name and "visual" not in name
        layer = next((int(part) for part in name.split(".") if part.isdigit()), 0)
        value = 1.0 + (change * (layer + 1) if trained else 0.0)
        tensors[f"{name}.weight"] = np.full((1, 1), value, np.float32)
    save_file(tensors, directory / "model.safetensors")
    (directory / "config.json").write_text("{}", "utf-8")
    return directory


def typed(place: Path, *words: str) -> Screen:
    values = {"TERM": "xterm", "LANG": "C.UTF-8", "TZ": "UTC"}
    env = environment(place / "home", values)
    screen = show(command(*words), env, place)
    assert (screen.code, screen.scrolled) == (0, 0), screen.text
    return screen


@pytest.mark.parametrize(
    ("name", "kinds", "layers", "zero"),
    [
        ("show-lora", (*ATTENTION, *MLP), 36, 0),
        ("show-experts", (*ATTENTION, *EXPERTS), 48, 0),
        ("show-64-layers", (*ATTENTION, *MLP), 64, 4),
        ("show-80-layers", (*ATTENTION, *MLP), 80, 0),
    ],
)
def test_the_map_of_an_adapter(
    tmp_path: Path, name: str, kinds: Sequence[str], layers: int, zero: int
) -> None:
    adapter(tmp_path / "a", kinds, layers, zero=zero)
    golden(name, typed(tmp_path, "show", "a"))


@pytest.mark.parametrize("vision", [False, True])
def test_the_map_of_full_weights(tmp_path: Path, vision: bool) -> None:
    weights(tmp_path / "base", 36, vision=vision)
    weights(tmp_path / "a", 36, change=0.001, vision=vision)
    name = "show-full-vision" if vision else "show-full"
    golden(name, typed(tmp_path, "show", "a", "--base-dir", "base"))


def test_two_adapters_side_by_side(tmp_path: Path) -> None:
    adapter(tmp_path / "a", (*ATTENTION, *MLP), 36)
    adapter(tmp_path / "b", (*ATTENTION, *MLP[:2]), 36, slope=2)
    golden("diff-lora", typed(tmp_path, "diff", "a", "b"))


def test_two_full_models_side_by_side(tmp_path: Path) -> None:
    weights(tmp_path / "base", 36, vision=True)
    weights(tmp_path / "a", 36, change=0.001, vision=True)
    weights(tmp_path / "b", 36, change=0.002, vision=True)
    golden("diff-full", typed(tmp_path, "diff", "a", "b", "--base-dir", "base"))
