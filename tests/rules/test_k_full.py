"""The tensors of full weights, and their config, against the base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from preflight.catalog.base_models import BaseModel
from preflight.findings import CannotTell, Problem, Severity, Unavailable, WeightType
from preflight.model.headers import Tensor
from preflight.model.vision_tower import VisionTowerComparison
from preflight.rules.b_config import (
    architecture_supported,
    config_is_the_base_s,
    no_code_of_its_own,
)
from preflight.rules.k_full import (
    output_layer_as_configured,
    tensors_are_those_of_the_base,
    vision_tower_is_the_base_s,
)
from tests.cases import case
from tests.rules.inputs import adapter, base, files, problems, severities, tensor, told
from tests.rules.inputs_full import NONE, model, reference

Edit = Callable[[list[Tensor]], list[Tensor]]
Q = "model.layers.1.self_attn.q_proj.weight"


def _judge(
    tensors: list[Tensor],
    code: str = "qwen3-8b",
    config: object = NONE,
    copy: object = NONE,
) -> str:
    return told(
        tensors_are_those_of_the_base,
        tensors=tuple(tensors),
        compared=base(code),
        config=config,
        reference=copy,
    )


def test_the_base_itself_passes() -> None:
    cases: list[str] = [
        "qwen3-8b",
        "qwen3-4b-instruct-2507",
        "qwen2.5-7b-instruct",
        "qwen2.5-vl-7b-instruct",
        "qwen3-vl-8b-instruct",
    ]
    for code in cases:
        with case(code):
            assert not _judge(model(code), code, base(code).config())


def _renamed(old: str, new: str) -> Edit:
    return lambda found: [replace(t, name=t.name.replace(old, new, 1)) for t in found]


def _prefixed(prefix: str) -> Edit:
    return lambda found: [replace(t, name=prefix + t.name) for t in found]


def _plus(*names: str) -> Edit:
    return lambda found: [*found, *(tensor(name, (8, 8)) for name in names)]


def _minus(part: str) -> Edit:
    return lambda found: [t for t in found if part not in t.name]


def test_too_many_or_too_few() -> None:
    cases: list[tuple[Edit, list[str]]] = [
        (_minus(Q), [f"{Q}: missing"]),
        (_minus("q_norm"), ["so 36 of the kind model.layers.*.self_attn.q_norm.w"]),
        (_minus("model."), ["missing; so 398 of qwen3-8b's 399 tensors"]),
        (_plus("score.weight"), ["score.weight: a head for scores", "so 1 of 400"]),
        (_plus("v_head.summary.weight"), ["a head for scores or classes"]),
        (
            _plus("model.layers.0.self_attn.q_proj.lora_A.weight"),
            ["a LoRA layer that was not merged"],
        ),
        (_prefixed("_orig_mod."), ["torch.compile left", "so 399 of 399"]),
        (_prefixed("module."), ["data-parallel training left"]),
        (_prefixed("base_model.model."), ["a PEFT model was saved without merging"]),
        (
            _plus("model.layers.36.mlp.up_proj.weight"),
            ["a layer that does not exist, qwen3-8b has 36"],
        ),
        (_plus("visual.merger.mlp.0.weight"), ["a vision tower, which qwen3-8b does"]),
        (_plus("mtp.fc.weight"), ["multi-token prediction"]),
        (_plus("model.layers.0.mlp.up_proj.qweight"), ["a part of quantised weights"]),
        (_plus("x\x1b[2J"), ["x\x1b[2J: qwen3-8b has no such tensor"]),
    ]  # fmt: skip
    for edit, words in cases:
        with case(edit, words):
            found = _judge(edit(model()))
            assert all(word in found for word in words), found


def test_names_as_in_memory() -> None:
    """transformers >= 4.52 calls Qwen2.5-VL's layers otherwise in memory."""
    found = model("qwen2.5-vl-7b-instruct")
    memory = _renamed("model.", "model.language_model.")(found)
    memory = [
        replace(t, name="model." + t.name) if t.name.startswith("visual.") else t
        for t in memory
    ]
    said = _judge(memory, "qwen2.5-vl-7b-instruct")
    assert "named as in memory; on disk it is" in said
    assert "so 728 of 729 tensors" in said


def test_tensors_under_another_name_are_not_missing() -> None:
    cases: list[tuple[Edit, str]] = [
        (_prefixed("base_model.model."), "a PEFT model was saved without merging"),
        (_prefixed("_orig_mod."), "torch.compile"),
        (_renamed("model.", ""), "saved from inside the model: on disk it is model."),
    ]
    for edit, words in cases:
        with case(edit, words):
            said = _judge(edit(model()))
            assert words in said
            assert len(said.splitlines()) == 1, said


def test_adapter_as_full_weights_is_one_problem() -> None:
    said = _judge(adapter())
    assert said.endswith("an adapter under the name of full weights")
    assert len(said.splitlines()) == 1


def test_tower_missing_is_one_problem() -> None:
    found = [t for t in model("qwen2.5-vl-7b-instruct") if "visual" not in t.name]
    said = _judge(found, "qwen2.5-vl-7b-instruct")
    assert said.count("\n") == 0
    assert "the vision tower is missing, all 390 tensors" in said


def test_old_buffers_are_a_warning() -> None:
    found = _plus("model.layers.0.self_attn.rotary_emb.inv_freq")(model())
    facts = {"config": NONE, "reference": NONE, "compared": base()}
    rule = tensors_are_those_of_the_base
    assert severities(rule, tensors=tuple(found), **facts) == [Severity.WARNING]


def _reshaped(name: str, shape: tuple[int, ...]) -> Edit:
    return lambda found: [
        replace(t, shape=shape) if name in t.name else t for t in found
    ]


def test_shapes() -> None:
    cases: list[tuple[str, tuple[int, ...], str]] = [
        (Q, (4097, 4096), "has the shape [4097, 4096], qwen3-8b [4096, 4096]"),
        ("q_norm", (64,), "so 36 tensors"),
        ("embed_tokens", (151669, 4096), ""),  # V01 judges the rows
        ("embed_tokens", (151936, 4095), "[151936, 4095]"),
        ("embed_tokens", (), "has the shape []"),
    ]
    for name, shape, words in cases:
        with case(name, shape, words):
            found = _judge(_reshaped(name, shape)(model()))
            assert (words in found) if words else not found


def test_many_kinds_of_shapes_are_cut_short() -> None:
    found = [replace(t, shape=(1, *t.shape)) for t in model()]
    said = _judge(found).splitlines()
    assert len(said) == 9
    assert "other kinds of tensors are misshapen" in said[-1]


def test_layers_of_the_config() -> None:
    cases: list[tuple[object, str]] = [
        (36, ""),
        (35, "is 35, the tensors have 36 layers"),
        ("36", ""),
        (None, ""),
    ]
    for layers, words in cases:
        with case(layers, words):
            found = _judge(model(), config={"num_hidden_layers": layers})
            assert (words in found) if words else not found


def test_a_copy_of_the_base_counts_more_than_the_catalog() -> None:
    own = {t.name: t.shape for t in model()} | {"model.new.weight": (1,)}
    assert "model.new.weight: missing" in _judge(model(), copy=reference(shapes=own))
    assert not _judge(model(), copy=reference(shapes=NONE))


HEAD = tensor("lm_head.weight")
BODY = tensor("model.norm.weight")


def test_output_layer() -> None:
    cases: list[tuple[list[Tensor], object, object, Severity | None]] = [
        ([HEAD, BODY], {"tie_word_embeddings": False}, base(), None),
        ([HEAD, BODY], {}, base(), None),
        ([HEAD, BODY], NONE, base(), None),
        ([BODY], {"tie_word_embeddings": True}, NONE, None),
        ([BODY], {}, base("qwen3-4b-instruct-2507"), None),
        ([HEAD, BODY], {"tie_word_embeddings": True}, base(), Severity.WARNING),
        ([HEAD, BODY], {}, base("qwen3-4b-instruct-2507"), Severity.WARNING),
        (
            [HEAD, BODY], {"tie_word_embeddings": False},
            base("qwen3-4b-instruct-2507"), Severity.WARNING,
        ),
        ([BODY], {"tie_word_embeddings": False}, NONE, Severity.ERROR),
        ([BODY], {"tie_word_embeddings": True}, base(), Severity.ERROR),
        ([BODY], {"tie_word_embeddings": "yes"}, base(), Severity.ERROR),
        ([BODY], {"text_config": {"tie_word_embeddings": True}}, NONE, None),
    ]  # fmt: skip
    for tensors, config, compared, level in cases:
        with case(tensors, config, compared, level):
            found = severities(
                output_layer_as_configured,
                tensors=tuple(tensors),
                config=config,
                compared=compared,
                tied_head=NONE,
            )
            assert found == ([] if level is None else [level])


def test_a_tied_head_is_compared_with_its_twin() -> None:
    cases: list[tuple[bool | Unavailable, str]] = [
        (True, "it is a copy of the embedding"),
        (False, "it differs from the embedding: trained apart"),
        (NONE, "so that this tensor is ignored"),
    ]
    for tied_head, words in cases:
        with case(tied_head, words):
            (found,) = problems(
                output_layer_as_configured,
                tensors=(BODY, HEAD),
                config={"tie_word_embeddings": True},
                compared=base("qwen3-4b-instruct-2507"),
                tied_head=tied_head,
            )
            assert words in found.message
            assert bool(found.fix) is isinstance(tied_head, bool)


def test_output_layer_tied_by_the_config_alone() -> None:
    facts = {"config": {"tie_word_embeddings": True}, "compared": base()}
    facts["tied_head"] = NONE
    said = told(output_layer_as_configured, tensors=(BODY,), **facts)
    assert "config.json says that the embeddings are tied" in said


def test_output_layer_of_an_unknown_model() -> None:
    facts: dict[str, object] = {"config": NONE, "compared": NONE, "tied_head": NONE}
    answers = list(output_layer_as_configured.check(tensors=(BODY,), **facts))
    assert [type(answer) for answer in answers] == [CannotTell]


VL = base("qwen2.5-vl-7b-instruct")


def test_vision_tower() -> None:
    cases: list[tuple[object, BaseModel, type | None]] = [
        (VisionTowerComparison(390, (), ()), VL, None),
        (VisionTowerComparison(390, ("visual.a", "visual.b"), ()), VL, Problem),
        (VisionTowerComparison(390, (), ("visual.a",)), VL, CannotTell),
        (Unavailable("not scanned"), VL, CannotTell),
        (Unavailable("not scanned"), base(), None),
    ]
    for tower, compared, answer in cases:
        with case(tower, compared, answer):
            found = list(
                vision_tower_is_the_base_s.check(tower=tower, compared=compared)
            )
            assert [type(each) for each in found] == (
                [] if answer is None else [answer]
            )


def _with(**fields: object) -> dict[str, Any]:
    return {**base().config(), **fields}


def test_architecture() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        (_with(), ""),
        (_with(architectures=["LlamaForCausalLM"]), "is LlamaForCausalLM; Qwen3For"),
        (_with(architectures=["Qwen3ForSequenceClassification"]), "Classification"),
        (
            _with(architectures=["FSDPQwen3ForCausalLM"]),
            "prefix stands before Qwen3For",
        ),
        (_with(architectures=None), "names no class (None)"),
        (_with(architectures="Qwen3ForCausalLM"), "names no class"),
        (_with(architectures=[7]), "names no class"),
        (_with(model_type="llama"), "is 'llama'; qwen3 is needed"),
        (_with(model_type="qwen2"), "is 'qwen2'; qwen3 is needed"),
        (_with(model_type=None), "missing; qwen3 is needed"),
    ]
    for config, words in cases:
        with case(config, words):
            facts = {"files": files("config.json"), "compared": base()}
            found = told(architecture_supported, config=config, **facts)
            assert (words in found) if words else not found


def test_architecture_of_any_base() -> None:
    facts = {"files": files("config.json"), "compared": NONE}
    assert not told(architecture_supported, config=_with(), **facts)
    odd = _with(architectures=["A"])
    assert "Qwen2ForCausalLM or" in told(architecture_supported, config=odd, **facts)


def test_config_that_is_no_json() -> None:
    config = Unavailable("config.json is not JSON")
    facts: dict[str, object] = {"config": config, "compared": base()}
    there = told(architecture_supported, files=files("config.json"), **facts)
    assert there == "config.json: config.json is not JSON"
    absent = list(architecture_supported.check(files=files(), **facts))
    assert [type(answer) for answer in absent] == [CannotTell]


def test_code_of_its_own() -> None:
    cases: list[tuple[dict[str, Any], int]] = [
        (_with(), 0),
        (_with(auto_map={"AutoModel": "m.M"}), 1),
        (_with(auto_map={}), 0),
    ]
    for config, count in cases:
        with case(config, count):
            found = files("config.json", "m.py")
            assert (
                len(problems(no_code_of_its_own, config=config, files=found)) == count
            )


def _config(config: dict[str, Any], code: str = "qwen3-8b") -> list[str]:
    found = problems(
        config_is_the_base_s,
        config=config,
        compared=base(code),
        reference=NONE,
        weight_type=WeightType.FULL,
    )
    level = config_is_the_base_s.severity
    return [
        f"{(each.severity or level).value} {each.where} {each.message}"
        for each in found
    ]


MODERN = {
    key: value for key, value in base().config().items()
    if key not in ("rope_theta", "rope_scaling", "torch_dtype")
} | {"dtype": "bfloat16"}  # fmt: skip


def test_config() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        (_with(), ""),
        (MODERN | {"rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}, ""),
        (_with(torch_dtype="torch.bfloat16", head_dim=None), ""),
        (_with(hidden_size=2048), "error config.json: hidden_size is 2048"),
        (_with(num_hidden_layers=35), "error config.json: num_hidden_layers"),
        (_with(num_key_value_heads="8"), "error config.json: num_key_value_heads"),
        (_with(head_dim=64), "error config.json: head_dim is 64"),
        (_with(max_position_embeddings=131072), "warning config.json: max_position"),
        (_with(rope_theta=10000), "warning config.json: rope_theta is 10000"),
        (
            MODERN | {"rope_parameters": {"rope_theta": 5e6, "rope_type": "default"}},
            "warning config.json: rope_theta is 5000000.0",
        ),
        (_with(rope_scaling={"type": "yarn", "factor": 4}), "rope_type is 'yarn'"),
        (_with(rope_scaling={"rope_type": "yarn", "factor": 4}), "factor is 4"),
        (_with(rope_scaling=["odd"]), ""),
        (_with(torch_dtype="int8"), "dtype is 'int8'"),
        (_with(torch_dtype=7), "dtype is 7"),
    ]
    for config, words in cases:
        with case(config, words):
            found = _config(config)
            assert any(words in line for line in found) if words else found == []


def test_config_of_the_base_itself() -> None:
    cases: list[str] = [
        "qwen2.5-72b-instruct",
        "qwen2.5-vl-7b-instruct",
        "qwen3-vl-8b-instruct",
    ]
    for code in cases:
        with case(code):
            assert _config(base(code).config(), code) == []


def test_config_with_the_text_model_in_a_section() -> None:
    """As transformers saves Qwen2.5-VL since 4.52."""
    flat = VL.config()
    outer = {"architectures", "model_type", "vision_config", "tie_word_embeddings"}
    inner = {key: value for key, value in flat.items() if key not in outer}
    nested = {key: flat[key] for key in outer}
    nested["text_config"] = inner | {"model_type": "qwen2_5_vl_text"}
    assert _config(nested, VL.code) == []
    nested["text_config"]["hidden_size"] = 1
    assert "hidden_size is 1" in _config(nested, VL.code)[0]


def test_config_of_the_tower() -> None:
    config = VL.config()
    config["vision_config"]["depth"] = 31
    assert "vision_config.depth is 31" in _config(config, VL.code)[0]


def test_config_beside_an_adapter_is_of_the_same_type() -> None:
    facts = {"compared": base(), "reference": NONE, "weight_type": WeightType.LORA}
    config = _with(model_type="qwen2")
    assert "model_type: is 'qwen2'" in told(
        config_is_the_base_s, config=config, **facts
    )
