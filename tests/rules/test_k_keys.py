from __future__ import annotations

import time
from collections.abc import Callable

from preflight.findings import Severity
from preflight.model.headers import Tensor
from preflight.rules.k_keys import (
    every_lora_a_has_its_b,
    lora_keys_well_formed,
    no_visual_tensor,
)
from tests.cases import case
from tests.rules.inputs import (
    adapter,
    pair,
    problems,
    severities,
    tensor,
    told,
    view,
)

VL7 = "qwen2.5-vl-7b-instruct"


def _renamed(rename: Callable[[str], str], code: str = "qwen3-8b") -> list[Tensor]:
    return [tensor(rename(t.name), t.shape) for t in adapter(code, layers=(0, 1))]


def test_sound_names() -> None:
    assert problems(lora_keys_well_formed, lora=view(adapter())) == []


def test_fused_experts_are_nested_by_peft_itself() -> None:
    found = pair("model.layers.0.mlp.experts.base_layer")
    assert problems(lora_keys_well_formed, lora=view(found)) == []


def test_each_way_to_misname_is_named() -> None:
    cases: list[tuple[Callable[[str], str], str]] = [
        ("_orig_mod.{}".format, "torch.compile"),
        ("module.{}".format, "data-parallel"),
        (lambda n: n.replace("layers.", "_fsdp_wrapped_module.layers."), "FSDP"),
        (
            lambda n: n.replace("self_attn", "_checkpoint_wrapped_module.self_attn"),
            "activation checkpointing",
        ),
        (lambda n: n.removeprefix("base_model.model."), "does not begin with"),
        ("base_model.model.{}".format, "stands twice"),
        (lambda n: n.replace(".lora_", ".base_layer.lora_"), "on top of another"),
        (lambda n: n.replace(".weight", ".default.weight"), "own name, default,"),
        (lambda n: n.replace(".weight", ".my_task.weight"), "own name, my_task,"),
        (lambda n: n.removesuffix(".weight"), "nothing follows lora_A"),
        (lambda n: n.replace(".weight", ".qweight"), ".qweight follows lora_A"),
        (lambda n: n.replace("lora_A.weight", "lora_a"), "mlx"),
        (lambda n: n.replace("lora_A", "lora_a"), "torchtune"),
        (lambda n: n.replace("lora_A", "lora_down"), "image models"),
    ]
    for rename, cause in cases:
        with case(rename, cause):
            text = told(lora_keys_well_formed, lora=view(_renamed(rename)))
            assert cause in text
            assert "of 8 tensors" in text


def test_file_without_any_lora_tensor() -> None:
    full = view([tensor(f"model.layers.{n}.mlp.up_proj.weight") for n in range(3)])
    text = told(lora_keys_well_formed, lora=full)
    assert "none of 3 tensors is a lora_A or lora_B" in text
    assert "merged model" in text
    assert problems(lora_keys_well_formed, lora=view()) == []  # S05 tells of it


def test_biases_are_left_to_their_rule() -> None:
    bias = tensor("base_model.model.m.lora_B.bias", (8,))
    assert problems(lora_keys_well_formed, lora=view(pair("m"), bias)) == []


def test_both_halves() -> None:
    assert problems(every_lora_a_has_its_b, lora=view(adapter())) == []
    a, b = pair("m")
    assert "its lora_B is missing" in told(every_lora_a_has_its_b, lora=view(a))
    assert "its lora_A is missing" in told(every_lora_a_has_its_b, lora=view(b))


def test_lonely_halves_are_counted() -> None:
    found = [t for t in adapter() if not t.name.endswith("q_proj.lora_B.weight")]
    text = told(every_lora_a_has_its_b, lora=view(found))
    assert "so 36 of 72 modules" in text
    assert len(text.splitlines()) == 1


def test_the_same_half_twice() -> None:
    a, b = pair("m")
    twin = tensor(a.name.replace(".weight", ".default.weight"), a.shape)
    assert "is a second lora_A" in told(every_lora_a_has_its_b, lora=view(a, b, twin))


def test_visual_tensors() -> None:
    cases: list[tuple[str, list[Severity]]] = [
        ("model.visual.blocks.0.mlp.gate_proj", [Severity.ERROR]),
        ("visual.blocks.0.mlp.gate_proj", [Severity.ERROR]),
        ("model.visual_head.q_proj", []),
        ("model.layers.0.self_attn.q_proj", []),
        ("vision_tower.blocks.0.q_proj", [Severity.WARNING]),
        ("multi_modal_projector.linear_1", [Severity.WARNING]),
        ("model.visual.merger.mlp.0", [Severity.ERROR]),
    ]
    for module, expected in cases:
        with case(module, expected):
            assert severities(no_visual_tensor, lora=view(pair(module))) == expected


def test_visual_tensors_are_counted_with_their_modules() -> None:
    tower = [pair(f"model.visual.blocks.{n}.mlp.up_proj") for n in range(3)]
    text = told(no_visual_tensor, lora=view(adapter(VL7), *tower))
    assert "6 of 118 tensors belong to the vision tower (up_proj)" in text


def test_a_name_that_begins_with_visual() -> None:
    first = view(tensor("visual.blocks.0.attn.qkv.lora_A.weight"))
    assert severities(no_visual_tensor, lora=first) == [Severity.ERROR]


def test_many_tensors_of_a_tower_take_little_time() -> None:
    tower = view([t for n in range(20_000) for t in pair(f"visual.{n}.mlp.q")])
    before = time.process_time()
    assert len(problems(no_visual_tensor, lora=tower)) == 1
    assert time.process_time() - before < 2
