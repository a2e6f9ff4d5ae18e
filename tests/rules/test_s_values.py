from __future__ import annotations

import pytest

from preflight.findings import Severity
from preflight.rules import Rule
from preflight.rules.s_values import (
    ABSURD,
    adapter_is_trained,
    adapter_values_finite,
    adapter_values_plausible,
    full_values_finite,
    full_values_plausible,
)
from tests.cases import case
from tests.rules.inputs import problems, severities, told, values

ERROR, WARNING = Severity.ERROR, Severity.WARNING
A, B = "m.{}.lora_A.weight", "m.{}.lora_B.weight"


@pytest.mark.parametrize("rule", [adapter_values_finite, full_values_finite])
def test_not_finite(rule: Rule) -> None:
    sound = values("a")
    assert problems(rule, values=(sound,)) == []
    found = (sound, values("b", nonfinite=3), values("c", nonfinite=64))
    assert told(rule, values=found) == (
        "a.safetensors: b: holds 3 NaN or Inf of 64 values; "
        "in all 67 values in 2 of 3 tensors"
    )


def test_trained() -> None:
    cases: list[tuple[int, int, list[Severity]]] = [
        (0, 0, []),
        (0, 4, [ERROR]),
        (4, 0, [ERROR]),
        (4, 4, [ERROR, ERROR]),
        (0, 1, [WARNING]),
        (3, 0, [WARNING]),
    ]
    for zero_a, zero_b, expected in cases:
        with case(zero_a, zero_b, expected):
            found = [values(A.format(n), zero=n < zero_a) for n in range(4)]
            found += [values(B.format(n), zero=n < zero_b) for n in range(4)]
            assert severities(adapter_is_trained, values=tuple(found)) == expected


def test_some_zero_tensors_are_counted() -> None:
    found = tuple(values(B.format(n), zero=n == 2) for n in range(4))
    text = told(adapter_is_trained, values=found)
    assert text.startswith("m.2.lora_B.weight: 1 of 4 lora_B tensors are zero")


def test_other_tensors_say_nothing_of_training() -> None:
    bias = values("m.lora_B.bias", zero=True)
    other = values("m.norm.weight", zero=True)
    empty = values(B.format(0), count=0)
    assert problems(adapter_is_trained, values=(bias, other, empty)) == []


def test_magnitudes() -> None:
    cases: list[tuple[float, int]] = [
        (0.1, 0),
        (ABSURD, 0),
        (ABSURD * 1.01, 1),
        (3e38, 1),
    ]
    for largest, count in cases:
        with case(largest, count):
            found = (values(A.format(0), largest=largest),)
            assert (
                severities(adapter_values_plausible, values=found) == [WARNING] * count
            )


def test_constant_tensors() -> None:
    found = (values(A.format(0), constant=True), values(A.format(1), constant=True))
    assert "so 2 tensors" in told(adapter_values_plausible, values=found)
    zero = (values(B.format(0), constant=True, zero=True),)
    assert problems(adapter_values_plausible, values=zero) == []  # S12 tells of it


def test_zero_and_constant_matrices_of_a_full_model() -> None:
    cases: list[tuple[str, int]] = [
        ("model.layers.0.mlp.up_proj.weight", 1),
        ("model.norm.weight", 0),
        ("visual.merger.ln_q.weight", 0),
        ("model.layers.0.self_attn.q_proj.bias", 0),
    ]
    for name, count in cases:
        with case(name, count):
            zero = (values(name, zero=True, constant=True),)
            assert severities(full_values_plausible, values=zero) == [WARNING] * count
            constant = (values(name, constant=True),)
            assert (
                severities(full_values_plausible, values=constant) == [WARNING] * count
            )
