from __future__ import annotations

import pytest

from preflight.findings import Problem, Unavailable
from preflight.model.lora import LoraView
from preflight.rules.c_config import adapter_config_readable
from tests.cases import case
from tests.rules.inputs import adapter, config, problems, told, view

NAME = "adapter_config.json"


NO_TENSORS = Unavailable("there are no weights")


def _read(value: object, lora: LoraView | Unavailable = NO_TENSORS) -> list[Problem]:
    return problems(adapter_config_readable, documents={NAME: value}, lora=lora)


def test_sound_config() -> None:
    assert _read(config()) == []


def test_missing_and_unreadable_config() -> None:
    facts = {"documents": {}, "lora": NO_TENSORS}
    assert told(adapter_config_readable, **facts) == f"{NAME}: missing"
    (broken,) = _read(Unavailable(f"{NAME} has a trailing comma (line 3, column 9)"))
    assert "trailing comma" in broken.message


def test_required_fields() -> None:
    cases: list[tuple[str, list[object], list[object]]] = [
        ("peft_type", ["LORA"], ["lora", "IA3", "ADALORA", None, 1, [], "X-LORA"]),
        ("r", [8, 128, -1], ["8", "sixteen", 16.0, 16.5, True, None, [], {}]),
        ("lora_alpha", [1, 16, 0.5], ["16", 0, -1, None, True, [], {}]),
        (
            "target_modules",
            [["q_proj"], "all-linear", r"^(?!.*visual).*\.(q|v)_proj$"],
            [None, [], {}, "", 5, {"q_proj": 1}, ["q_proj", 5], [None], [""], "(["],
        ),
    ]
    for field, good, bad in cases:
        with case(field, good, bad):
            assert all(not _read(config(**{field: value})) for value in good)
            for value in bad:
                found = _read(config(**{field: value}))
                assert [problem.where for problem in found] == [f"{NAME}: {field}"], (
                    value
                )


@pytest.mark.parametrize("key", ["fine_tune_type", "lora_parameters"])
def test_mlx_is_named(key: str) -> None:
    found = _read({"model": "Qwen/Qwen3-8B", key: "lora"})
    assert [problem.where for problem in found] == [NAME]
    assert "mlx-lm" in found[0].message


def test_each_required_field_may_be_missing() -> None:
    cases: list[str] = ["peft_type", "r", "lora_alpha", "target_modules"]
    for field in cases:
        with case(field):
            found = _read({k: v for k, v in config().items() if k != field})
            assert [(p.where, "missing" in p.message) for p in found] == [
                (f"{NAME}: {field}", True)
            ]


def test_target_parameters_stand_for_target_modules() -> None:
    experts = config(target_modules=None, target_parameters=["mlp.experts.gate_up"])
    assert _read(experts) == []


def test_pattern_that_warns_is_no_fault() -> None:
    assert _read(config(target_modules=r"model[[a-z]]\.q_proj")) == []


def test_a_fix_belongs_to_the_cause() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"peft_type": "lora"}, 'Write "peft_type": "LORA".'),
        ({"peft_type": None}, 'Write "peft_type": "LORA".'),
        ({"peft_type": "ADALORA"}, "merge it and import full weights"),
        ({"r": None}, 'Set "r": 16 in adapter_config.json: every tensor has rank 16.'),
        ({"lora_alpha": 0}, "the lora_alpha that it was trained with"),
        ({"target_modules": None}, 'Set "target_modules": ["q_proj", "v_proj"]'),
        ({"target_modules": "(["}, 'Set "target_modules": ["q_proj", "v_proj"]'),
    ]
    for fields, fix in cases:
        with case(fields, fix):
            lora = view(adapter(rank=16))
            (found,) = _read(config(**fields), lora)
            assert fix in found.fix
            (alone,) = _read(config(**fields))
            assert alone.fix
            assert "16" not in alone.fix


def test_fixes_of_files_that_are_no_config() -> None:
    (mlx,) = _read({"lora_parameters": {"rank": 8}})
    assert "mlx_lm.fuse" in mlx.fix
    (missing,) = problems(adapter_config_readable, documents={}, lora=NO_TENSORS)
    assert missing.fix.startswith("Copy adapter_config.json")
    (broken,) = _read(Unavailable("has a trailing comma"))
    assert broken.fix.startswith("Mend that place")
