"""Full weights: the same files and tensors as the open-source model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.importable import IMPORTABLE, Family
from preflight.sandbox.studio.jobs import Status, WeightType
from tests.sandbox.studio import models
from tests.sandbox.studio.judge import (
    assert_refused,
    imported,
)
from tests.sandbox.studio.models import tensors, tiny, to_json


def test_full_weights_are_imported(oss: OssState) -> None:
    for family in list(Family):
        for make in [models.full, models.sharded]:
            base = tiny(family)
            assert imported(oss, make(base), WeightType.FULL, base)[0].error_code == ""


def test_full_weights_need_their_files(oss: OssState) -> None:
    for name, word in [
        ("config.json", "missing: config.json"),
        ("tokenizer.json", "tokenizer.json (or vocab.json and merges.txt)"),
        ("tokenizer_config.json", "missing: tokenizer_config.json"),
        ("model.safetensors", "model.safetensors (or"),
    ]:
        files = models.full(tiny())
        del files[name]
        assert_refused(imported(oss, files, WeightType.FULL), word)


def test_a_slow_tokenizer_is_enough(oss: OssState) -> None:
    files = models.full(tiny())
    vocabulary = models.tokenizer(tiny())["model"]["vocab"]
    del files["tokenizer.json"]
    files |= {"vocab.json": to_json(vocabulary), "merges.txt": b"#version: 0.2\n"}
    assert imported(oss, files, WeightType.FULL)[0].status is Status.SUCCEEDED


def test_full_weights_need_a_template(oss: OssState) -> None:
    files = models.full(tiny()) | {"tokenizer_config.json": b"{}"}
    assert_refused(imported(oss, files, WeightType.FULL), "no chat template")


def test_full_weights_have_the_base_models_tensors(oss: OssState) -> None:
    cases: list[tuple[dict[str, tuple[int, ...] | None], str]] = [
        ({"lm_head.weight": None}, "lm_head.weight has the shape None"),
        ({"lm_head.weight": (33, 64)}, "lm_head.weight has the shape (33, 64)"),
        ({"value_head.weight": (1, 64)}, "value_head.weight"),
        ({"visual.patch_embed.weight": (1, 64)}, "the vision tower (1 tensors)"),
    ]
    for change, word in cases:
        shapes: dict[str, tuple[int, ...] | None] = {**tiny().text_tensors(), **change}
        kept = {name: shape for name, shape in shapes.items() if shape is not None}
        files = models.full(tiny()) | {"model.safetensors": tensors(kept)}
        assert_refused(imported(oss, files, WeightType.FULL), word)


def test_a_tied_head_may_be_there_or_not(oss: OssState) -> None:
    base = tiny(tied=True)
    for shapes in (base.text_tensors(), tiny().text_tensors()):
        files = models.full(base) | {"model.safetensors": tensors(shapes)}
        assert imported(oss, files, WeightType.FULL, base)[0].error_code == ""


def test_a_vision_tower_is_counted(oss: OssState) -> None:
    base = tiny(Family.QWEN25_VL, vision_tensors=1, vision_parameters=64)
    shapes = base.text_tensors()
    files = models.full(base) | {"model.safetensors": tensors(shapes)}
    assert_refused(imported(oss, files, WeightType.FULL, base), "vision tower (0")
    shapes |= {"visual.patch_embed.proj.weight": (1, 64)}
    files |= {"model.safetensors": tensors(shapes)}
    assert imported(oss, files, WeightType.FULL, base)[0].error_code == ""


def test_an_index_has_to_be_complete(oss: OssState) -> None:
    cases: list[tuple[Callable[[dict[str, Any]], object], str]] = [
        (lambda f: f.pop("model-00002-of-00002.safetensors"), "00002.safetensors is"),
        (lambda f: _map(f).pop("lm_head.weight"), "disagree on lm_head.weight"),
        (lambda f: _map(f).update(ghost="model-00001-of-00002.safetensors"), "ghost"),
        (lambda f: _map(f).clear(), "no weight_map"),
        (lambda f: _map(f).update(ghost=1), "does not name files"),
    ]
    for change, word in cases:
        name = "model.safetensors.index.json"
        files: dict[str, Any] = dict(models.sharded(tiny()))
        files["index"] = json.loads(files.pop(name))
        change(files)
        files[name] = to_json(files.pop("index"))
        assert_refused(imported(oss, files, WeightType.FULL), word)


def test_the_total_of_an_index_decides_nothing(oss: OssState) -> None:
    """transformers and vLLM read the map alone; many real totals are wrong."""
    files = models.sharded(tiny())
    index = json.loads(files["model.safetensors.index.json"])
    index["metadata"] = {"total_size": 1}
    files["model.safetensors.index.json"] = to_json(index)
    assert imported(oss, files, WeightType.FULL)[0].error_code == ""


def _map(files: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = files["index"]["weight_map"]
    return found


def test_the_base_models_have_the_published_parameter_counts() -> None:
    """Counted from names and shapes, against the totals on the model cards."""
    expected = {
        "qwen3-32b": 32_762_123_264,
        "qwen3-14b": 14_768_307_200,
        "qwen3-8b": 8_190_735_360,
        "qwen3-4b-instruct-2507": 4_022_468_096,
        "qwen3-vl-8b-instruct": 8_767_123_696,
        "qwen2.5-72b-instruct": 72_706_203_648,
        "qwen2.5-32b-instruct": 32_763_876_352,
        "qwen2.5-14b-instruct": 14_770_033_664,
        "qwen2.5-7b-instruct": 7_615_616_512,
        "qwen2.5-vl-72b-instruct": 73_410_777_344,
        "qwen2.5-vl-7b-instruct": 8_292_166_656,
    }
    counted = {}
    for base in IMPORTABLE:
        elements = 0
        for shape in base.text_tensors().values():
            elements += shape[0] * (shape[1] if len(shape) > 1 else 1)
        counted[base.name] = elements + base.vision_parameters
    assert counted == expected
