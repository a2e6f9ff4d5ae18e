from __future__ import annotations

from collections.abc import Callable

import pytest

from preflight.model.headers import Tensor
from preflight.rules.k_modules import modules_exist_in_the_base
from tests.cases import case
from tests.rules.inputs import adapter, base, pair, problems, tensor, told, view

VL7, VL3 = "qwen2.5-vl-7b-instruct", "qwen3-vl-8b-instruct"


def _renamed(rename: Callable[[str], str]) -> list[Tensor]:
    return [tensor(rename(t.name), t.shape) for t in adapter(layers=(0, 1))]


def test_adapter_of_the_base_itself() -> None:
    cases: list[str] = ["qwen3-8b", "qwen2.5-72b-instruct", VL7, VL3]
    for code in cases:
        with case(code):
            leaves = (
                "self_attn.q_proj",
                "self_attn.k_proj",
                "mlp.up_proj",
                "mlp.down_proj",
            )
            lora = view(adapter(code, leaves=leaves))
            assert problems(modules_exist_in_the_base, lora=lora, base=base(code)) == []


def _wrong(tensors: list[Tensor], code: str = "qwen3-8b") -> str:
    return told(modules_exist_in_the_base, lora=view(tensors), base=base(code))


def _segment(name: str) -> str:
    return name.replace("model.layers.", "model.language_model.layers.")


def test_language_model_segment_on_a_text_base() -> None:
    text = _wrong(_renamed(_segment))
    assert "base_model.model.model.language_model.layers." in text
    assert "qwen3-8b has base_model.model.model.layers." in text
    assert "language_model is of a vision-language model's class" in text


def test_language_model_segment_missing_on_qwen3_vl() -> None:
    text = _wrong(adapter("qwen3-8b"), VL3)
    assert "language_model is missing, as in a text model's class" in text


def test_either_segment_will_do_on_qwen25_vl_but_not_both() -> None:
    new = adapter(VL7, layers=(0,))
    plain = [
        tensor(t.name.replace("language_model.layers.", "layers."), t.shape)
        for t in new
    ]
    segment = [tensor(_segment(t.name), t.shape) for t in plain]
    assert _wrong(plain, VL7) == ""
    assert _wrong(segment, VL7) == ""
    assert "both" in _wrong(plain + segment, VL7)


@pytest.mark.parametrize(
    ("layer", "cause"), [(35, ""), (36, "layer 36 does not exist, qwen3-8b has 36")]
)
def test_layers_of_the_base(layer: int, cause: str) -> None:
    text = _wrong(adapter(layers=(layer,)))
    assert cause in text if cause else text == ""


def test_modules_that_the_base_lacks() -> None:
    cases: list[tuple[str, str]] = [
        ("model.layers.0.mlp.w1", "no module w1 there"),
        ("model.layers.0.self_attn.up_proj", "no module up_proj there"),
        ("model.layers.0.mlp.experts", "no mixture of experts"),
        ("model.layers.0.mlp.experts.3.gate_proj", "no mixture of experts"),
        ("model.norm", "no such module"),
        ("transformer.h.0.self_attn.q_proj", "the path begins with"),
        ("model.model.layers.0.self_attn.q_proj", "the path begins with"),
    ]
    for module, told_of in cases:
        with case(module, told_of):
            assert told_of in _wrong(list(pair(module)))


def test_the_base_whose_shapes_they_are_is_one_problem() -> None:
    rule = modules_exist_in_the_base
    facts = {"lora": view(adapter("qwen3-14b")), "base": base("qwen3-32b")}
    (problem,) = problems(rule, **facts)
    assert "qwen3-14b, not of qwen3-32b; so 40 of 160 tensors" in problem.message
    facts = {"lora": view(adapter("qwen3-4b-instruct-2507")), "base": base()}
    (problem,) = problems(rule, **facts)
    assert "of qwen3-4b-instruct-2507, not of qwen3-8b; so 72 " in problem.message
    assert problem.fix.startswith("Give --base-model qwen3-4b-instruct-2507")
    assert len(problem.details) == 2
    assert (
        "q_proj.lora_A has 2,560 columns, qwen3-8b needs 4,096 (36)" in problem.details
    )


def test_sizes_of_no_base_are_one_problem_too() -> None:
    leaves = ("q_proj", "k_proj", "v_proj")
    odd = [t for x in leaves for t in pair(f"model.layers.0.self_attn.{x}", into=9)]
    (problem,) = problems(modules_exist_in_the_base, lora=view(odd), base=base())
    assert "q_proj.lora_A has 9 columns, qwen3-8b needs 4,096" in problem.message
    assert len(problem.details) == 5
    mixed = [*adapter("qwen3-8b"), *pair("model.layers.0.mlp.w1")]
    assert "the shapes are those" not in _wrong(mixed)


def test_layers_beyond_the_last_are_one_problem() -> None:
    text = _wrong(adapter(layers=range(30, 46)))
    assert text.count("does not exist") == 1
    assert "layer 36 does not exist, qwen3-8b has 36; so 40 of 64 tensors" in text


def test_padded_copies_are_named() -> None:
    up = pair("model.layers.0.mlp.up_proj", into=8192, out=29696)
    text = _wrong(list(up), "qwen2.5-72b-instruct")
    assert "29,696 rows, qwen2.5-72b-instruct needs 29,568: AWQ and GPTQ" in text


def test_transposed_shapes_are_named() -> None:
    turned = [tensor(t.name, t.shape[::-1]) for t in adapter(layers=(0,))]
    assert "it seems transposed" in _wrong(turned)


def test_what_other_rules_refuse_is_not_told_again() -> None:
    found = [
        *pair("model.visual.blocks.0.attn.qkv"),
        *pair("lm_head"),
        tensor("_orig_mod.base_model.model.m.lora_A.weight"),
    ]
    assert _wrong(found) == ""
