from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from fixtures.adapters import ALL_LINEAR, SEVEN, build_adapter
from fixtures.tensors import read_header, read_tensors
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from fixtures.trainers import TRAINERS
from preflight.catalog.base_models import find_base
from tests.cases import case
from tests.fixtures_builder.tree import disk_usage, tree

WEIGHTS = "adapter_model.safetensors"

# Number of LoRA tensors and of their elements at rank 16, counted by PEFT itself on
# models built on the meta device (PEFT 0.21.2, transformers 5.23.0).
SEVEN_NAMES = {
    "qwen3-32b": (896, 134_217_728),
    "qwen3-14b": (560, 64_225_280),
    "qwen3-8b": (504, 43_646_976),
    "qwen3-4b-instruct-2507": (504, 33_030_144),
    "qwen2.5-72b-instruct": (1120, 210_534_400),
    "qwen2.5-32b-instruct": (896, 134_217_728),
    "qwen2.5-14b-instruct": (672, 68_812_800),
    "qwen2.5-7b-instruct": (392, 40_370_176),
    "qwen2.5-vl-72b-instruct": (1312, 217_808_896),
    "qwen2.5-vl-7b-instruct": (584, 47_589_376),
    "qwen3-vl-8b-instruct": (504, 43_646_976),
}
ALL_LINEAR_ON_VL = {
    "qwen2.5-vl-72b-instruct": (1444, 222_117_888),
    "qwen2.5-vl-7b-instruct": (716, 51_824_640),
    "qwen3-vl-8b-instruct": (736, 52_493_824),
}


def _config(directory: Path) -> dict[str, Any]:
    text = (directory / "adapter_config.json").read_text("utf-8")
    config: dict[str, Any] = json.loads(text)
    return config


def _counts(directory: Path) -> tuple[int, int]:
    found = read_tensors(directory / WEIGHTS)
    return len(found), sum(math.prod(tensor.shape) for tensor in found)


def _names(directory: Path) -> list[str]:
    with safe_open(directory / WEIGHTS, framework="numpy") as opened:
        return list(opened.keys())


def test_seven_names_hit_what_peft_hits(tmp_path: Path) -> None:
    for code in sorted(SEVEN_NAMES):
        with case(code):
            # Rank 1 has a sixteenth of the elements and makes the test quick.
            made = tmp_path / code
            build_adapter(made, base=code, rank=1, dtype="BF16", vision=True)
            tensors, elements = _counts(made)
            assert (tensors, elements * 16) == SEVEN_NAMES[code]


@pytest.mark.parametrize("code", sorted(ALL_LINEAR_ON_VL))
def test_all_linear_hits_the_whole_tower(code: str, tmp_path: Path) -> None:
    build_adapter(
        tmp_path, base=code, rank=1, targets=ALL_LINEAR, dtype="BF16", vision=True
    )
    tensors, elements = _counts(tmp_path)
    assert (tensors, elements * 16) == ALL_LINEAR_ON_VL[code]


def test_real_adapter_of_qwen3_8b(tmp_path: Path) -> None:
    build_adapter(tmp_path, base="qwen3-8b", rank=16)
    path = tmp_path / WEIGHTS
    header, base = read_header(path)
    assert header["__metadata__"] == {"format": "pt"}
    assert path.stat().st_size == base + 4 * 43_646_976
    with safe_open(path, framework="numpy") as opened:
        name = "base_model.model.model.layers.35.mlp.down_proj.lora_"
        assert opened.get_tensor(name + "A.weight").shape == (16, 12288)
        b = opened.get_tensor(name + "B.weight")
    assert b.shape == (4096, 16)
    assert b.dtype == np.float32
    assert np.isfinite(b).all()
    assert np.count_nonzero(b) == b.size


@pytest.mark.parametrize(
    ("code", "trainer", "prefix"),
    [
        ("qwen3-8b", "peft-0.15", "base_model.model.model.layers."),
        ("qwen3-8b", "peft-0.21", "base_model.model.model.layers."),
        ("qwen2.5-vl-7b-instruct", "peft-0.15", "base_model.model.model.layers."),
        (
            "qwen2.5-vl-7b-instruct",
            "peft-0.18",
            "base_model.model.model.language_model.layers.",
        ),
        (
            "qwen3-vl-8b-instruct",
            "peft-0.21",
            "base_model.model.model.language_model.layers.",
        ),
    ],
)
def test_prefix_by_generation(
    code: str, trainer: str, prefix: str, tmp_path: Path
) -> None:
    build_adapter(tmp_path, base=code, rank=8, tiny=True, trainer=trainer)
    assert all(name.startswith(prefix) for name in _names(tmp_path))


@pytest.mark.parametrize(
    ("trainer", "prefix"),
    [
        ("peft-0.15", "base_model.model.visual.blocks.0.mlp."),
        ("peft-0.21", "base_model.model.model.visual.blocks.0.mlp."),
    ],
)
def test_seven_names_reach_the_tower_unless_told_not_to(
    trainer: str, prefix: str, tmp_path: Path
) -> None:
    hit, spared = tmp_path / "hit", tmp_path / "spared"
    arguments: dict[str, Any] = {"base": TINY_VL, "rank": 8, "trainer": trainer}
    build_adapter(hit, vision=True, **arguments)
    build_adapter(spared, **arguments)
    assert any(name.startswith(prefix) for name in _names(hit))
    assert not any("visual" in name for name in _names(spared))
    assert _config(spared)["exclude_modules"] == ".*visual.*"


@pytest.mark.parametrize(
    ("trainer", "count", "present", "absent"),
    [
        ("peft-0.4", 16, "base_model_name_or_path", "rank_pattern"),
        ("peft-0.15", 29, "trainable_token_indices", "peft_version"),
        ("peft-0.18", 36, "peft_version", "lora_ga_config"),
        ("peft-0.21", 41, "kasa_config", "runtime_config"),
    ],
)
def test_config_keys_by_version(
    trainer: str, count: int, present: str, absent: str, tmp_path: Path
) -> None:
    build_adapter(tmp_path, base=TINY_TEXT, rank=8, trainer=trainer)
    config = _config(tmp_path)
    assert present in config
    assert absent not in config
    assert list(config) == sorted(config)
    assert len(config) == count
    assert (config["r"], config["peft_type"]) == (8, "LORA")


def test_tiny_adapter_of_a_real_base_is_small_and_says_so(tmp_path: Path) -> None:
    build_adapter(tmp_path, base="qwen3-8b", rank=8, tiny=True)
    assert disk_usage(tmp_path) < 1_000_000
    config = _config(tmp_path)
    assert config["layers_to_transform"] == [0, 1]
    numbers = {re.findall(r"layers\.(\d+)\.", name)[0] for name in _names(tmp_path)}
    assert numbers == {"0", "1"}
    assert len(_names(tmp_path)) == 2 * 2 * len(config["target_modules"])


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for trainer in sorted(TRAINERS):
        with case(trainer):
            place = tmp_path / trainer
            arguments: dict[str, Any] = {
                "base": TINY_TEXT,
                "rank": 8,
                "trainer": trainer,
            }
            one = tree(build_adapter(place / "one", **arguments, template="x"))
            two = tree(build_adapter(place / "two", **arguments, template="x"))
            other = tree(
                build_adapter(place / "three", **arguments, template="x", seed=7)
            )
            assert one == two
            assert one.keys() == other.keys()
            assert {name for name in one if one[name] != other[name]} == {
                WEIGHTS.encode()
            }


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_dtypes_hold_the_same_trained_values(dtype: str, tmp_path: Path) -> None:
    build_adapter(tmp_path, base=TINY_TEXT, rank=8, dtype=dtype)
    found = read_tensors(tmp_path / WEIGHTS)
    assert {tensor.dtype for tensor in found} == {dtype}
    for tensor in found:
        assert tensor.chunks is not None
        data = b"".join(tensor.chunks())
        assert len(data) == tensor.nbytes
        assert any(data)
    if dtype != "BF16":
        values = load_file(tmp_path / WEIGHTS).values()
        assert all(0 < abs(value).max() < 0.021 for value in values)


def test_b_is_never_a_copy_of_another(tmp_path: Path) -> None:
    build_adapter(tmp_path, base=TINY_TEXT, rank=8)
    values = [value.tobytes() for value in load_file(tmp_path / WEIGHTS).values()]
    assert len(set(values)) == len(values)


def test_qlora_names_the_quantised_copy(tmp_path: Path) -> None:
    build_adapter(tmp_path, base="qwen3-8b", rank=8, tiny=True, trainer="unsloth")
    name = _config(tmp_path)["base_model_name_or_path"]
    assert name == "unsloth/qwen3-8b-unsloth-bnb-4bit"


def test_swift_regex_selects_what_the_file_holds(tmp_path: Path) -> None:
    build_adapter(tmp_path, base=TINY_VL, rank=8, trainer="ms-swift-4")
    config = _config(tmp_path)
    pattern = re.compile(config["target_modules"])
    adapted = {name.rsplit(".lora_", 1)[0] for name in _names(tmp_path)}
    modules = {name.removeprefix("base_model.model.") for name in adapted}
    assert all(pattern.match(module) for module in modules)
    assert not pattern.match("model.visual.blocks.0.mlp.gate_proj")
    assert config["modules_to_save"] == []


def test_llama_factory_lists_full_names_on_a_vl_base(tmp_path: Path) -> None:
    build_adapter(tmp_path, base=TINY_VL, rank=8, trainer="llama-factory")
    targets = _config(tmp_path)["target_modules"]
    assert "model.language_model.layers.1.mlp.up_proj" in targets
    assert len(targets) == 2 * len(SEVEN)


@pytest.mark.parametrize(
    ("trainer", "left"),
    [
        ("peft-0.21", set()),
        ("trl", {"training_args.bin", "tokenizer.json", "chat_template.jinja"}),
        ("checkpoint", {"optimizer.pt", "rng_state.pth", "scheduler.pt"}),
        ("ms-swift-3", {"args.json", "additional_config.json"}),
        ("ms-swift-4", {"args.json", "training_args.bin"}),
        ("llama-factory", {"trainer_log.jsonl", "training_args.yaml"}),
        ("axolotl", {"checkpoint-500", "debug.log"}),
        ("deepspeed", {"global_step500", "latest", "zero_to_fp32.py"}),
    ],
)
def test_what_trainers_leave(trainer: str, left: set[str], tmp_path: Path) -> None:
    build_adapter(tmp_path, base=TINY_TEXT, trainer=trainer, template=TINY_TEMPLATE)
    names = {path.name for path in tmp_path.iterdir()}
    adapter = {"README.md", "adapter_config.json", WEIGHTS}
    assert adapter | left <= names
    assert "config.json" not in names
    assert disk_usage(tmp_path) < 3_000_000
    if not left:
        assert names == adapter


def test_config_of_the_base_beside_the_adapter(tmp_path: Path) -> None:
    build_adapter(tmp_path, base="qwen3-8b", rank=8, tiny=True, base_config=True)
    base = find_base("qwen3-8b")
    assert base is not None
    assert json.loads((tmp_path / "config.json").read_text("utf-8")) == base.config()


def test_unknown_names_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    for wrong in ({"base": "gpt-2"}, {"base": "qwen3-8b", "trainer": "none"}):
        with pytest.raises(KeyError):
            build_adapter(tmp_path / "new", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()
