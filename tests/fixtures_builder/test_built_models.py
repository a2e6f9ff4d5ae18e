from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from fixtures.full import INDEX, build_full
from fixtures.tensors import read_tensors
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from fixtures.tokenizer import Transformers
from preflight.catalog.base_models import find_base
from tests.fixtures_builder.tree import disk_usage, tree

# Tensors and bytes of the official BF16 checkpoints, from their index files where
# these are quoted in public, else computed from models on the meta device.
CHECKPOINTS = {
    "qwen3-32b": (707, 65_524_246_528),
    "qwen3-4b-instruct-2507": (398, 8_044_936_192),
    "qwen3-vl-8b-instruct": (750, 17_534_247_392),
    "qwen2.5-72b-instruct": (963, 145_412_407_296),
    "qwen2.5-7b-instruct": (339, 15_231_233_024),
    "qwen2.5-vl-72b-instruct": (1353, 146_821_554_688),
    "qwen2.5-vl-7b-instruct": (729, 16_584_333_312),
}


def _json(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return value


@pytest.mark.parametrize("code", sorted(CHECKPOINTS))
def test_sparse_checkpoint(code: str, tmp_path: Path) -> None:
    build_full(tmp_path, base=code)
    tensors, size = CHECKPOINTS[code]
    index = _json(tmp_path / INDEX)
    assert index["metadata"]["total_size"] == size
    assert len(index["weight_map"]) == tensors
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    found = [(path, one) for path in shards for one in read_tensors(path)]
    assert {one.name: path.name for path, one in found} == index["weight_map"]
    assert sum(2 * math.prod(one.shape) for _, one in found) == size
    assert disk_usage(tmp_path) < 2_000_000


def test_sparse_72b_opens_as_it_is(tmp_path: Path) -> None:
    build_full(tmp_path, base="qwen2.5-72b-instruct")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) == 38
    assert sum(path.stat().st_size for path in shards) > 145_412_407_296
    with safe_open(shards[-1], framework="numpy") as opened:
        names = list(opened.keys())
        shape = opened.get_slice(names[0]).get_shape()
    assert names == ["lm_head.weight"]
    assert shape == [152064, 8192]


def test_vision_tower_is_part_of_a_full_model(tmp_path: Path) -> None:
    build_full(tmp_path, base=TINY_VL, sparse=False)
    names = _json(tmp_path / INDEX)["weight_map"]
    assert "visual.blocks.1.mlp.gate_proj.weight" in names
    assert "model.layers.1.mlp.gate_proj.weight" in names


@pytest.mark.parametrize("shard_bytes", [None, 60_000])
def test_tiny_model_has_values(shard_bytes: int | None, tmp_path: Path) -> None:
    build_full(tmp_path, base=TINY_TEXT, sparse=False, shard_bytes=shard_bytes)
    shards = sorted(tmp_path.glob("model*.safetensors"))
    base = find_base(TINY_TEXT)
    assert base is not None
    assert (len(shards) == 1) is (shard_bytes is None)
    assert (tmp_path / INDEX).exists() is (shard_bytes is not None)
    found = [one for path in shards for one in read_tensors(path)]
    shapes = {spec.name: spec.shape for spec in base.checkpoint_tensors()}
    assert {one.name: one.shape for one in found} == shapes
    for one in found:
        assert one.chunks is not None
        assert any(b"".join(one.chunks()))


def test_same_seed_same_model(tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"base": TINY_VL, "sparse": False}
    one = tree(build_full(tmp_path / "one", **arguments))
    two = tree(build_full(tmp_path / "two", **arguments))
    other = tree(build_full(tmp_path / "three", **arguments, seed=1))
    assert one == two
    changed = {name for name in one if one[name] != other[name]}
    assert changed
    assert all(name.endswith(b".safetensors") for name in changed)


@pytest.mark.parametrize(
    ("style", "files", "key"),
    [
        (
            Transformers.V4_51,
            {
                "vocab.json",
                "merges.txt",
                "added_tokens.json",
                "special_tokens_map.json",
            },
            True,
        ),
        (
            Transformers.V4_57,
            {"vocab.json", "added_tokens.json", "chat_template.jinja"},
            False,
        ),
        (Transformers.V5_23, {"chat_template.jinja"}, False),
    ],
)
def test_tokenizer_by_generation(
    style: Transformers, files: set[str], key: bool, tmp_path: Path
) -> None:
    build_full(
        tmp_path,
        base=TINY_TEXT,
        sparse=False,
        transformers=style,
        template=TINY_TEMPLATE,
    )
    names = {path.name for path in tmp_path.iterdir()}
    config = _json(tmp_path / "tokenizer_config.json")
    assert files <= names
    assert ("chat_template" in config) is key
    assert ("added_tokens_decoder" in config) is (style is not Transformers.V5_23)
    assert ("vocab.json" in names) is (style is not Transformers.V5_23)
    template = tmp_path / "chat_template.jinja"
    text = config["chat_template"] if key else template.read_text("utf-8")
    assert text == TINY_TEMPLATE


@pytest.mark.parametrize("code", ["qwen3-8b", "qwen2.5-7b-instruct", TINY_TEXT])
def test_tokenizer_has_exactly_the_tokens_of_the_base(
    code: str, tmp_path: Path
) -> None:
    build_full(tmp_path, base=code)
    base = find_base(code)
    assert base is not None
    tokenizer = _json(tmp_path / "tokenizer.json")
    ids = {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
    assert ids == dict(base.added_tokens)
    assert _json(tmp_path / "added_tokens.json") == ids


def test_invented_base_knows_its_own_vocabulary(tmp_path: Path) -> None:
    build_full(tmp_path, base=TINY_TEXT, template=TINY_TEMPLATE)
    base = find_base(TINY_TEXT)
    assert base is not None

    def digest(name: str) -> str:
        return hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()

    assert digest("vocab.json") == base.vocab_sha256
    assert digest("merges.txt") == base.merges_sha256
    assert (digest("chat_template.jinja"),) == base.template_sha256
    assert len(_json(tmp_path / "vocab.json")) == base.vocab_entries


def test_transformers_5_spells_the_config_otherwise(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    build_full(old, base="qwen3-8b")
    build_full(new, base="qwen3-8b", transformers=Transformers.V5_23)
    before, after = _json(old / "config.json"), _json(new / "config.json")
    assert after["dtype"] == before["torch_dtype"] == "bfloat16"
    assert after["rope_parameters"]["rope_theta"] == before["rope_theta"]
    assert not {"torch_dtype", "rope_theta"} & after.keys()
