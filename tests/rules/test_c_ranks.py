from __future__ import annotations

import pytest

from preflight.findings import Severity, Unavailable
from preflight.model.headers import Tensor
from preflight.rules.c_ranks import (
    no_rank_pattern,
    rank_allowed,
    rank_the_same_in_every_tensor,
)
from tests.cases import case
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

NO_TENSORS = Unavailable("there are no weights")


def test_rank_allowed() -> None:
    cases: list[tuple[object, int]] = [
        (7, 1),
        (8, 0),
        (9, 1),
        (16, 0),
        (32, 0),
        (63, 1),
        (64, 0),
        (65, 1),
        (128, 1),
        (0, 1),
        (-8, 1),
        (10**300, 1),
        ("8", 0),
        (None, 0),
        (True, 0),
        (8.0, 0),
    ]
    for rank, count in cases:
        with case(rank, count):
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


def test_patterns() -> None:
    cases: list[tuple[str, object, list[Severity]]] = [
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
    ]
    for field, value, expected in cases:
        with case(field, value, expected):
            facts = {"adapter_config": config(**{field: value}), "lora": NO_TENSORS}
            assert severities(no_rank_pattern, **facts) == expected


@pytest.mark.parametrize(
    ("alphas", "words"),
    [
        ({"q_proj": 1}, "scales q_proj otherwise than the rest"),
        ({"q_proj": 1, "k": 2, "v": 16}, "scales q_proj and 1 more otherwise"),
    ],
)
def test_other_scales_are_counted(alphas: dict[str, int], words: str) -> None:
    facts = {"adapter_config": config(alpha_pattern=alphas), "lora": NO_TENSORS}
    assert words in told(no_rank_pattern, **facts)


def _fixes(fields: dict[str, object], *tensors: Tensor) -> set[str]:
    facts = {"adapter_config": config(**fields), "lora": view(*tensors)}
    return {problem.fix for problem in problems(rank_the_same_in_every_tensor, **facts)}


def test_where_all_tensors_agree_the_config_is_mended() -> None:
    tensors = [*pair("m.0.q_proj", rank=16), *pair("m.1.q_proj", rank=16)]
    wanted = 'Set "r": 16 in adapter_config.json: every tensor has rank 16.'
    assert _fixes({"r": 32}, *tensors) == {wanted}
    assert "FSDP" not in told(
        rank_the_same_in_every_tensor,
        adapter_config=config(r=32),
        lora=view(*tensors),
    )


def test_a_fix_belongs_to_what_the_tensors_look_like() -> None:
    a, b = pair("m.0.q_proj", rank=16)
    (gather,) = _fixes({"r": 16}, tensor(a.name, (8, 4096)), b)
    assert "full state dict" in gather
    (turn,) = _fixes({"r": 16}, *(tensor(t.name, t.shape[::-1]) for t in (a, b)))
    assert "(r, in)" in turn
    (train,) = _fixes({"r": 16}, *pair("m.0.q_proj", rank=12))
    assert "allowed rank" in train


@pytest.mark.parametrize("field", ["rank_pattern", "alpha_pattern"])
def test_a_pattern_of_any_text_is_told_on_one_line(field: str) -> None:
    name = "q\n\x1b[2J" + "proj" * 50
    facts = {"adapter_config": config(**{field: {name: 3}}), "lora": NO_TENSORS}
    (problem,) = problems(no_rank_pattern, **facts)
    assert problem.message.isprintable()
    assert len(problem.message) < 200


def test_a_rank_that_rank_pattern_explains_has_the_remedy_of_the_pattern() -> None:
    tensors = [*pair("m.0.q_proj", rank=16), *pair("m.0.v_proj", rank=8)]
    for key in ("q_proj", "m.0.q_proj", "^m.0.q_proj"):
        fields = {"r": 8, "rank_pattern": {key: 16}}
        (fix,) = _fixes(fields, *tensors)
        facts = {"adapter_config": config(**fields), "lora": view(*tensors)}
        (pattern,) = problems(no_rank_pattern, **facts)
        assert (pattern.fix or no_rank_pattern.fix) == fix
    alike = view(*pair("m.0.q_proj", rank=16))
    facts = {"adapter_config": config(r=8, rank_pattern={"q_proj": 16}), "lora": alike}
    (found,) = problems(no_rank_pattern, **facts)
    assert found.fix.startswith("Remove rank_pattern, and set r to 16")
