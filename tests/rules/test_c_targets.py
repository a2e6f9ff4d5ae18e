from __future__ import annotations

from collections.abc import Mapping

import pytest

from preflight.catalog.base import BaseModel
from preflight.findings import Severity, Unavailable
from preflight.model.headers import Tensor
from preflight.rules.c_targets import config_keys_known, targets_are_in_the_file
from tests.cases import case
from tests.rules.inputs import (
    PREFIX,
    adapter,
    base,
    config,
    pair,
    severities,
    told,
    view,
)

SEVEN = tuple(
    [f"self_attn.{n}_proj" for n in "qkvo"]
    + [f"mlp.{n}_proj" for n in ("gate", "up", "down")]
)
NAMES = [leaf.rpartition(".")[2] for leaf in SEVEN]
NO_BASE = Unavailable("the base model is not known")


def _told(
    tensors: list[Tensor],
    fields: Mapping[str, object] | None = None,
    *,
    on: BaseModel | Unavailable | None = None,
) -> str:
    facts = {
        "adapter_config": config(**(fields or {})),
        "lora": view(tensors),
        "compared": base() if on is None else on,
    }
    assert Severity.ERROR not in severities(targets_are_in_the_file, **facts)
    return told(targets_are_in_the_file, **facts)


def test_usual_ways_to_name_all_layers() -> None:
    cases: list[object] = [
        NAMES,
        ["self_attn.q_proj", *NAMES[1:]],
        "all-linear",
        r".*\.(q|k|v|o|gate|up|down)_proj",
        r"^(?=.*language_model|(?!.*visual)).*\.(q_proj|v_proj)$",
    ]
    for targets in cases:
        with case(targets):
            assert _told(adapter(leaves=SEVEN), {"target_modules": targets}) == ""
            assert (
                _told(adapter(leaves=SEVEN), {"target_modules": targets}, on=NO_BASE)
                == ""
            )


def test_target_without_tensors() -> None:
    text = _told(adapter(), {"target_modules": ["q_proj", "v_proj", "router", "w1"]})
    assert text == (
        "adapter_config.json: target_modules: names router, w1, of which the file "
        "has no tensor"
    )


def test_tower_that_was_left_out_is_no_loss() -> None:
    """PEFT lists the tower's layers even where exclude_modules left them out."""
    cases: list[dict[str, object]] = [
        {"exclude_modules": ".*visual.*"},
        {"exclude_modules": ["visual"]},
        {"exclude_modules": None},
    ]
    for more in cases:
        with case(more):
            targets = ["q_proj", "v_proj", "model.visual.blocks.0.attn.qkv"]
            found = adapter("qwen2.5-vl-7b-instruct")
            fields = {"target_modules": targets, **more}
            assert _told(found, fields, on=base("qwen2.5-vl-7b-instruct")) == ""


def test_tower_in_the_file_is_no_absent_target() -> None:
    """K04 tells of the tower; its layers are there all the same."""
    found = [*adapter("qwen2.5-vl-7b-instruct"), *pair("visual.blocks.0.attn.qkv")]
    fields = {"target_modules": ["q_proj", "v_proj", "qkv"]}
    assert _told(found, fields, on=base("qwen2.5-vl-7b-instruct")) == ""


def test_without_any_layer_nothing_is_told() -> None:
    assert _told([]) == ""


def test_layers_of_another_base_are_not_counted_against_this_one() -> None:
    assert _told(adapter("qwen3-8b"), on=base("qwen3-32b")) == ""


def test_excluded_and_wholly_saved_targets_are_no_loss() -> None:
    targets = ["q_proj", "v_proj", "lm_head", "k_proj"]
    fields = {"exclude_modules": ["k_proj"], "modules_to_save": ["lm_head"]}
    assert _told(adapter(), {"target_modules": targets, **fields}) == ""


def _full_names(layers: range) -> list[str]:
    return [f"model.layers.{n}.self_attn.{x}_proj" for n in layers for x in "qv"]


def test_full_names_choose_their_layers() -> None:
    some = adapter(layers=range(4, 8))
    assert _told(some, {"target_modules": _full_names(range(4, 8))}) == ""
    text = _told(some, {"target_modules": _full_names(range(4, 9))})
    assert "model.layers.8.self_attn.q_proj" in text


def test_layer_without_its_lora() -> None:
    gone = f"{PREFIX}5.self_attn.q_proj."
    found = [t for t in adapter() if not t.name.startswith(gone)]
    text = _told(found)
    assert "self_attn.q_proj has no LoRA in layer 5; 35 of 36 have one" in text
    assert "v_proj has" not in text
    assert _told(found, on=NO_BASE) == text


def test_last_layers_missing_need_a_base_to_be_seen() -> None:
    found = adapter(layers=range(34))
    assert "in layer 34, 35" in _told(found)
    assert _told(found, on=NO_BASE) == ""


def test_layers_to_transform() -> None:
    cases: list[tuple[object, int]] = [
        ([0, 1], 0),
        ([0, 1, 2], 1),
        (None, 1),
        ([], 1),
        ("0-1", 1),
        ([0, "x", None], 0),
    ]
    for chosen, count in cases:
        with case(chosen, count):
            text = _told(adapter(layers=(0, 1)), {"layers_to_transform": chosen})
            assert len(text.splitlines()) == count


def _listed(*layers: int) -> dict[str, object]:
    return {
        "target_modules": [f"model.layers.{n}.{leaf}" for n in layers for leaf in SEVEN]
    }


def test_whole_paths_as_targets_are_no_choice_of_layers() -> None:
    """PEFT lists them for all-linear; a lost layer lies between others."""
    listed = _listed(*range(6))
    assert _told(adapter(layers=range(6), leaves=SEVEN), listed) == ""
    found = adapter(layers=(0, 1, 2, 4, 5), leaves=SEVEN)
    text = _told(found, _listed(0, 1, 2, 4, 5))
    assert "have no LoRA in layer 3; 5 of 6 have one" in text
    assert len(text.splitlines()) == 1
    assert "of which the file has no tensor" in _told(found, listed)
    assert (
        _told(adapter(layers=range(20, 28), leaves=SEVEN), _listed(*range(20, 28)))
        == ""
    )


def test_one_chosen_layer() -> None:
    assert _told(adapter(layers=(7,)), {"layers_to_transform": 7}) == ""


@pytest.mark.parametrize(
    "targets", [r".*layers\.(1[0-9])\.self_attn\.(q|v)_proj", r".*\.1\d\..*_proj"]
)
def test_pattern_that_chooses_layers_is_believed(targets: str) -> None:
    assert _told(adapter(layers=range(10, 20)), {"target_modules": targets}) == ""


def test_hostile_layer_numbers_take_no_time() -> None:
    found = [t for n in (0, 9999, 10**9) for t in pair(f"model.layers.{n}.a.q_proj")]
    text = _told(found, {"target_modules": ["q_proj"]}, on=NO_BASE)
    assert "in layer 1, 2, 3, 4, 5, 6 and 9,992 more" in text


def test_odd_values_are_left_to_the_config_rule() -> None:
    cases: list[object] = [{}, 5, [5, None], True, "", None]
    for odd in cases:
        with case(odd):
            names = ("target_modules", "exclude_modules", "layers_to_transform")
            assert "None" not in _told(adapter(), dict.fromkeys(names, odd))


def test_unknown_keys() -> None:
    cases: list[tuple[str, object, int]] = [
        ("use_dora", True, 0),
        ("runtime_config", {"ephemeral_gpu_offload": False}, 0),
        ("kasa_config", {"a": 1}, 0),
        ("lora_dtype", "float32", 0),
        ("use_quantum_lora", True, 1),
        ("use_quantum_lora", False, 0),
        ("quantum_config", None, 0),
        ("quantum_config", {}, 0),
        ("R", 16, 1),
        ("evil\x1b[31m", 1, 1),
    ]
    for key, value, count in cases:
        with case(key, value, count):
            facts = {"adapter_config": config(**{key: value})}
            assert severities(config_keys_known, **facts) == [Severity.WARNING] * count


def test_another_tools_file_is_not_listed_key_by_key() -> None:
    found = {"fine_tune_type": "lora", "iters": 600}
    assert severities(config_keys_known, adapter_config=found) == []
