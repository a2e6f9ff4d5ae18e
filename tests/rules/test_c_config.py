from __future__ import annotations

import pytest

from preflight.findings import Problem, Severity, Unavailable
from preflight.rules.c_config import (
    adapter_config_readable,
    no_rank_pattern,
    rank_allowed,
    rank_the_same_in_every_tensor,
)
from tests.rules.inputs import (
    adapter,
    config,
    pair,
    problems,
    severities,
    tensor,
    told,
    view,
)

NAME = "adapter_config.json"


def _read(value: object) -> list[Problem]:
    return problems(adapter_config_readable, documents={NAME: value})


def test_sound_config() -> None:
    assert _read(config()) == []


def test_missing_and_unreadable_config() -> None:
    assert told(adapter_config_readable, documents={}) == f"{NAME}: missing"
    broken = Unavailable(f"{NAME} has a trailing comma (line 3, column 9)")
    assert "trailing comma" in told(adapter_config_readable, documents={NAME: broken})


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("peft_type", ["LORA"], ["lora", "IA3", "ADALORA", None, 1, [], "X-LORA"]),
        ("r", [8, 128, -1], ["8", "sixteen", 16.0, 16.5, True, None, [], {}]),
        ("lora_alpha", [1, 16, 0.5], ["16", 0, -1, None, True, [], {}]),
        (
            "target_modules",
            [["q_proj"], "all-linear", r"^(?!.*visual).*\.(q|v)_proj$"],
            [None, [], {}, "", 5, {"q_proj": 1}, ["q_proj", 5], [None], [""], "(["],
        ),
    ],
)
def test_required_fields(field: str, good: list[object], bad: list[object]) -> None:
    assert all(not _read(config(**{field: value})) for value in good)
    for value in bad:
        found = _read(config(**{field: value}))
        assert [problem.where for problem in found] == [f"{NAME}: {field}"], value


@pytest.mark.parametrize("key", ["fine_tune_type", "lora_parameters"])
def test_mlx_is_named(key: str) -> None:
    found = _read({"model": "Qwen/Qwen3-8B", key: "lora"})
    assert [problem.where for problem in found] == [NAME]
    assert "mlx-lm" in found[0].message


@pytest.mark.parametrize("field", ["peft_type", "r", "lora_alpha", "target_modules"])
def test_each_required_field_may_be_missing(field: str) -> None:
    found = _read({k: v for k, v in config().items() if k != field})
    assert [(p.where, "missing" in p.message) for p in found] == [
        (f"{NAME}: {field}", True)
    ]


def test_target_parameters_stand_for_target_modules() -> None:
    experts = config(target_modules=None, target_parameters=["mlp.experts.gate_up"])
    assert _read(experts) == []


def test_pattern_that_warns_is_no_fault() -> None:
    assert _read(config(target_modules=r"model[[a-z]]\.q_proj")) == []


@pytest.mark.parametrize(
    ("rank", "count"),
    [(7, 1), (8, 0), (9, 1), (16, 0), (32, 0), (63, 1), (64, 0), (65, 1), (128, 1),
     (0, 1), (-8, 1), (10**300, 1), ("8", 0), (None, 0), (True, 0), (8.0, 0)],
)  # fmt: skip
def test_rank_allowed(rank: object, count: int) -> None:
    assert len(problems(rank_allowed, adapter_config=config(r=rank))) == count


def _ranks(r: object, *ranks: int) -> str:
    halves = [pair(f"m.{n}", rank=rank) for n, rank in enumerate(ranks)]
    facts = {"adapter_config": config(r=r), "lora": view(*halves)}
    return told(rank_the_same_in_every_tensor, **facts)


def test_one_rank_in_all_tensors() -> None:
    assert _ranks(16, 16, 16) == ""


def test_rank_that_differs_is_counted_and_shown() -> None:
    text = _ranks(16, 16, 24, 24)
    assert "base_model.model.m.1.lora_A.weight: has rank 24 (shape [24, 4096])" in text
    assert "r = 16; allowed are 8, 16, 32, 64; so 4 of 6 tensors" in text


def test_unknown_rank_is_told_once() -> None:
    assert _ranks("16", 16, 16) == ""  # C01 tells that r is no number
    assert "r is unknown" in _ranks("16", 16, 8)
    assert "r is unknown" in _ranks(None, 12, 12)


def test_slices_of_fsdp_are_named() -> None:
    a, b = pair("m.0", rank=16)
    half = view(tensor(a.name, (8, 4096)), b)
    facts = {"adapter_config": config(r=16), "lora": half}
    text = told(rank_the_same_in_every_tensor, **facts)
    assert "one of 2 slices, as FSDP" in text
    assert "1 of 2 tensors" in text


def test_transposed_tensors_are_named() -> None:
    turned = [tensor(t.name, t.shape[::-1]) for t in adapter(rank=16)]
    facts = {"adapter_config": config(r=16), "lora": view(turned)}
    assert "it seems transposed" in told(rank_the_same_in_every_tensor, **facts)


def test_tensors_that_are_no_matrix_have_no_rank() -> None:
    flat = view(tensor("base_model.model.m.lora_A.weight", (512,)))
    facts = {"adapter_config": config(), "lora": flat}
    assert problems(rank_the_same_in_every_tensor, **facts) == []


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("rank_pattern", {}, []),
        ("rank_pattern", None, []),
        ("rank_pattern", {"q_proj": 8}, []),
        ("rank_pattern", {"q_proj": 16}, [Severity.ERROR]),
        ("rank_pattern", {"q_proj": "8"}, [Severity.ERROR]),
        ("rank_pattern", {"q_proj": 16, "v_proj": 4}, [Severity.ERROR] * 2),
        ("rank_pattern", ["q_proj"], [Severity.ERROR]),
        ("alpha_pattern", {}, []),
        ("alpha_pattern", {"q_proj": 16}, []),
        ("alpha_pattern", {"q_proj": 1}, [Severity.WARNING]),
        ("alpha_pattern", 5, [Severity.ERROR]),
    ],
)
def test_patterns(field: str, value: object, expected: list[Severity]) -> None:
    found = severities(no_rank_pattern, adapter_config=config(**{field: value}))
    assert found == expected


@pytest.mark.parametrize(
    ("alphas", "words"),
    [
        ({"q_proj": 1}, "scales q_proj otherwise than the rest"),
        ({"q_proj": 1, "k": 2, "v": 16}, "scales q_proj and 1 more otherwise"),
    ],
)
def test_other_scales_are_counted(alphas: dict[str, int], words: str) -> None:
    text = told(no_rank_pattern, adapter_config=config(alpha_pattern=alphas))
    assert words in text
