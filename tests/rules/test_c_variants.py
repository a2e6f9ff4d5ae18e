from __future__ import annotations

import pytest

from preflight.findings import Severity, Unavailable
from preflight.rules.c_variants import (
    adapter_fits_the_original_base,
    no_lora_on_the_vocabulary,
    no_target_parameters,
    no_trained_bias,
    no_trained_tokens,
    only_lora_tensors,
    plain_lora,
    plain_scaling,
    usual_task,
)
from tests.cases import case
from tests.rules.inputs import (
    HERE,
    adapter,
    config,
    pair,
    problems,
    severities,
    tensor,
    told,
    view,
    walk,
)

PLAIN = view(adapter(layers=(0,)))
NO_LORA = Unavailable("adapter_model.safetensors is broken")
LAYER = "base_model.model.model.layers.0"
ERROR, WARNING = Severity.ERROR, Severity.WARNING


def test_variants_of_lora() -> None:
    cases: list[tuple[str, object]] = [
        ("use_dora", True),
        ("use_qalora", True),
        ("use_bdlora", {"nblocks": 2}),
        ("layer_replication", [[0, 2], [1, 2]]),
        ("alora_invocation_tokens", [151644]),
        ("kasa_config", {"rank": 4}),
        ("velora_config", {"a": 1}),
        ("monteclora_config", {"a": 1}),
        ("arrow_config", {"top_k": 2}),
    ]
    for field, value in cases:
        with case(field, value):
            for lora in (PLAIN, NO_LORA):
                on = {"adapter_config": config(**{field: value}), "lora": lora}
                assert severities(plain_lora, **on) == [ERROR]
                unset: tuple[object, ...] = (False, None, [], {})
                for off in unset:
                    unused = {"adapter_config": config(**{field: off}), "lora": lora}
                    assert problems(plain_lora, **unused) == []


def test_unused_settings_of_variants_do_no_harm() -> None:
    unused = config(
        qalora_group_size=16, megatron_core="megatron.core", eva_config=None
    )
    assert problems(plain_lora, adapter_config=unused, lora=PLAIN) == []


def test_magnitude_vectors_without_the_switch() -> None:
    dora = view(adapter(), tensor(f"{LAYER}.self_attn.q_proj.lora_magnitude_vector"))
    assert "DoRA" in told(plain_lora, adapter_config=config(), lora=dora)
    facts = {"adapter_config": config(), "lora": dora}
    assert problems(only_lora_tensors, **facts) == []  # told once is enough


def test_bias_in_the_config() -> None:
    cases: list[tuple[dict[str, object], int]] = [
        ({}, 0),
        ({"bias": None}, 0),
        ({"bias": "all"}, 1),
        ({"bias": "lora_only"}, 1),
        ({"bias": ["none"]}, 1),
        ({"lora_bias": True}, 1),
        ({"lora_bias": False}, 0),
    ]
    for fields, count in cases:
        with case(fields, count):
            facts = {"adapter_config": config(**fields), "lora": NO_LORA}
            assert len(problems(no_trained_bias, **facts)) == count


def test_bias_in_the_file() -> None:
    cases: list[tuple[str, int]] = [
        (f"{LAYER}.self_attn.q_proj.lora_B.bias", 1),
        (f"{LAYER}.self_attn.q_proj.base_layer.bias", 1),
        (f"{LAYER}.self_attn.k_proj.bias", 1),
        (f"{LAYER}.input_layernorm.weight", 0),
    ]
    for name, count in cases:
        with case(name, count):
            facts = {
                "adapter_config": config(),
                "lora": view(adapter(), tensor(name, (8,))),
            }
            assert len(problems(no_trained_bias, **facts)) == count


def test_tensors_that_are_no_lora() -> None:
    cases: list[tuple[str, str]] = [
        ("base_model.model.lm_head.weight", "a whole output layer"),
        ("base_model.model.model.embed_tokens.weight", "a whole embedding"),
        ("base_model.model.lm_head.base_layer.weight", "matrix of the base"),
        (f"{LAYER}.input_layernorm.weight", "normalisation"),
        ("base_model.model.score.weight", "classification head"),
        ("something.else", "no LoRA tensor"),
    ]
    for name, kind in cases:
        with case(name, kind):
            both = view(adapter(layers=(0,)), tensor(name))
            for declared in (config(), Unavailable("no config")):
                assert kind in told(
                    only_lora_tensors, adapter_config=declared, lora=both
                )
            assert (
                problems(only_lora_tensors, adapter_config=config(), lora=PLAIN) == []
            )


@pytest.mark.parametrize(
    "name",
    [
        f"{LAYER}.self_attn.q_proj.base_layer.bias",  # C06
        "model.layers.0.self_attn.q_proj.lora_a",  # K01
    ],
)
def test_what_another_rule_tells_is_told_once(name: str) -> None:
    both = view(adapter(layers=(0,)), tensor(name))
    assert problems(only_lora_tensors, adapter_config=config(), lora=both) == []


def test_modules_to_save() -> None:
    cases: list[tuple[object, int]] = [
        (None, 0),
        ([], 0),
        (["lm_head"], 1),
        ("lm_head", 1),
    ]
    for saved, count in cases:
        with case(saved, count):
            facts = {"adapter_config": config(modules_to_save=saved), "lora": NO_LORA}
            assert len(problems(only_lora_tensors, **facts)) == count


def test_trained_tokens() -> None:
    name = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"
    both = view(adapter(), tensor(name, (3, 4096)))
    facts = {"adapter_config": config(trainable_token_indices=[1, 2, 3]), "lora": both}
    assert len(problems(no_trained_tokens, **facts)) == 2
    plain = {"adapter_config": config(trainable_token_indices=None), "lora": PLAIN}
    assert problems(no_trained_tokens, **plain) == []


def test_initialisations() -> None:
    cases: list[tuple[object, list[Severity]]] = [
        (True, []),
        (False, []),
        (None, []),
        ("gaussian", []),
        ("eva", []),
        ("orthogonal", []),
        ("pissa", [ERROR]),
        ("pissa_niter_16", [ERROR]),
        ("PiSSA", [ERROR]),
        ("olora", [ERROR]),
        ("corda", [ERROR]),
        ("loftq", [ERROR]),
        ("lora_ga", [WARNING]),
        ("a_new_one", [WARNING]),
        (["pissa"], []),
    ]
    for value, expected in cases:
        with case(value, expected):
            assert _initialised(config(init_lora_weights=value)) == expected


def _initialised(declared: object, *names: str) -> list[Severity]:
    facts = {"adapter_config": declared, "location": HERE, "walk": walk(*names)}
    facts["requested"] = Unavailable("not asked for")
    return severities(adapter_fits_the_original_base, **facts)


def _remedy(*names: str, **fields: object) -> str:
    declared = config(**fields)
    facts = {"adapter_config": declared, "location": HERE, "walk": walk(*names)}
    facts["requested"] = Unavailable("not asked for")
    (found,) = problems(adapter_fits_the_original_base, **facts)
    return found.fix


def test_the_conversion_doubles_the_rank() -> None:
    assert "8 becomes 16." in _remedy(init_lora_weights="pissa", r=8)
    for kind in ("pissa_niter_16", "olora", "corda"):
        told = _remedy(init_lora_weights=kind, r=64)
        assert "64 becomes 128, which is refused: train again with r of at most" in told
    assert _remedy(init_lora_weights="loftq", r=8) == ""


def test_a_converted_adapter_that_lies_there_is_named() -> None:
    for folder in ("converted/default", "pissa_converted"):
        told = _remedy(f"{folder}/adapter_model.safetensors", init_lora_weights="pissa")
        assert f"in {folder}: preflight check" in told
    other = "checkpoint-5/adapter_model.safetensors"
    assert "checkpoint-5" not in _remedy(other, init_lora_weights="pissa")


def test_settings_of_loftq_without_loftq() -> None:
    used = config(init_lora_weights="loftq", loftq_config={"loftq_bits": 4})
    unused = config(init_lora_weights=True, loftq_config={"loftq_bits": 4})
    empty = config(init_lora_weights=True, loftq_config={})
    assert _initialised(used) == [ERROR]
    assert _initialised(unused) == [WARNING]
    assert _initialised(empty) == []


def test_rslora_says_what_would_be_the_same_without() -> None:
    assert problems(plain_scaling, adapter_config=config(use_rslora=False)) == []
    scaled = config(use_rslora=True, r=16, lora_alpha=32)
    assert "lora_alpha 128" in told(plain_scaling, adapter_config=scaled)
    assert severities(plain_scaling, adapter_config=scaled) == [WARNING]


@pytest.mark.parametrize("r", ["16", None, -4, 0, 10**299])
@pytest.mark.parametrize("alpha", ["32", None, 10**299, True])
def test_rslora_with_odd_numbers(r: object, alpha: object) -> None:
    odd = config(use_rslora=True, r=r, lora_alpha=alpha)
    assert len(problems(plain_scaling, adapter_config=odd)) == 1


def test_target_parameters() -> None:
    cases: list[tuple[object, int]] = [(None, 0), ([], 0), (["mlp.experts"], 1)]
    for value, count in cases:
        with case(value, count):
            facts = {"adapter_config": config(target_parameters=value)}
            assert severities(no_target_parameters, **facts) == [WARNING] * count


def test_usual_task() -> None:
    cases: list[tuple[dict[str, object], int]] = [
        ({}, 0),
        ({"task_type": None}, 0),
        ({"task_type": ""}, 0),
        ({"task_type": "SEQ_CLS"}, 1),
        ({"task_type": ["CAUSAL_LM"]}, 1),
        ({"fan_in_fan_out": True}, 1),
        ({"megatron_config": {"a": 1}}, 1),
        ({"megatron_config": None, "fan_in_fan_out": False}, 0),
    ]
    for fields, count in cases:
        with case(fields, count):
            facts = {"adapter_config": config(**fields)}
            assert severities(usual_task, **facts) == [WARNING] * count


def test_lora_on_the_vocabulary() -> None:
    cases: list[tuple[str, int]] = [
        ("lm_head", 1),
        ("model.embed_tokens", 1),
        ("model.layers.0.self_attn.q_proj", 0),
    ]
    for module, count in cases:
        with case(module, count):
            assert (
                len(problems(no_lora_on_the_vocabulary, lora=view(pair(module))))
                == count
            )


def test_lora_embedding_halves() -> None:
    name = "base_model.model.model.embed_tokens.lora_embedding_A"
    found = view(tensor(name, (8, 151936)))
    assert len(problems(no_lora_on_the_vocabulary, lora=found)) == 1
