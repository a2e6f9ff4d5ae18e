"""Which base a directory is of, and whether it can be imported onto."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from preflight.catalog.base_models import load_bases
from preflight.findings import Severity, Unavailable, WeightType
from preflight.model.base_claim import BaseClaim, read_claim
from preflight.model.identity import identify
from preflight.model.reference import WrongReference
from preflight.rules.b_base import (
    base_dir_holds_the_base,
    base_is_the_tuned_one,
    base_model_supported,
    base_not_quantised,
)
from tests.cases import case
from tests.rules.inputs import adapter, base, problems, severities, told, view
from tests.rules.inputs_full import NONE, model

ERROR, WARNING = [Severity.ERROR], [Severity.WARNING]


def _claim(name: str | None) -> BaseClaim:
    if name is None:
        return BaseClaim()
    return BaseClaim("adapter_config.json: base_model_name_or_path", identify(name))


def _lora(
    name: str | None,
    asked: str | None = None,
    shapes: Mapping[str, object] = MappingProxyType({}),
) -> dict[str, object]:
    facts: dict[str, object] = {
        "claim": _claim(name),
        "requested": NONE if asked is None else identify(asked),
        "weight_type": WeightType.LORA,
        "lora": view(adapter("qwen3-8b")),
        "tensors": NONE,
        "compared": NONE,
    }
    return {**facts, **shapes}


def _levels(facts: dict[str, object]) -> list[Severity]:
    return severities(base_model_supported, **facts)


def _words(facts: dict[str, object]) -> str:
    return told(base_model_supported, **facts)


STRANGE = {"lora": view(adapter(layers=[99]))}


def test_base_that_the_files_name() -> None:
    cases: list[tuple[str | None, Mapping[str, object], list[Severity]]] = [
        ("Qwen/Qwen3-8B", {}, []),
        ("/data/models/Qwen3-8B", {}, []),
        ("unsloth/qwen3-8b-unsloth-bnb-4bit", {}, []),
        ("Qwen/Qwen3-8B-Base", {}, []),  # B06 tells of it
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", {}, ERROR),
        ("Qwen/Qwen3-0.6B", {}, ERROR),
        ("Qwen/Qwen3-8B-Instruct", {}, WARNING),  # no such model
        ("me/qwen3-8b-sft", {}, WARNING),
        ("me/qwen3-8b-sft", STRANGE, ERROR),
        ("/mnt/ckpt/final", {}, WARNING),
        (None, {}, WARNING),
        ("someone/own-8b-model", {}, WARNING),
        # The layers of some fit by chance: q_proj and v_proj of Llama 3.1 8B do.
        ("meta-llama/Llama-3.1-8B-Instruct", {}, ERROR),
        ("Qwen/Qwen3.5-9B", {}, ERROR),
        ("google/gemma-2-9b", {}, ERROR),
        ("google/gemma-2-9b", STRANGE, ERROR),
        ("google/gemma-2-9b", {"lora": NONE}, ERROR),
        ("/mnt/ckpt/final", STRANGE, ERROR),
        ("/mnt/ckpt/final", {"lora": NONE}, WARNING),
        (None, STRANGE, ERROR),
    ]
    for name, shapes, levels in cases:
        with case(name, shapes, levels):
            assert _levels(_lora(name, shapes=shapes)) == levels


def test_nameless_base_is_told_by_its_shapes() -> None:
    assert "the shapes fit qwen3-8b; give --base-model" in _words(_lora(None))


def test_base_that_was_asked_for() -> None:
    cases: list[tuple[str, str | None, list[Severity]]] = [
        ("qwen3-8b", "Qwen/Qwen3-8B", []),
        ("qwen3-8b", None, []),
        ("qwen3-8b", "/mnt/ckpt/final", []),
        ("qwen3-8b", "Qwen/Qwen3-8B-Base", []),
        ("qwen3-8b", "Qwen/Qwen3-14B", ERROR),
        ("qwen3-8b", "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", ERROR),
        ("qwen3-8b", "google/gemma-2-9b", ERROR),
        ("qwen3-8b", "someone/own-8b-model", WARNING),
        ("qwen3-8b", "me/qwen3-8b-sft", WARNING),
        ("qwen3-8b", "me/eva-qwen-8b", WARNING),  # of any generation
        ("qwen3-14b", "me/qwen3-8b-sft", ERROR),
        ("qwen3-8b", "Qwen/Qwen3-Coder-30B-A3B-Instruct", ERROR),
        ("qwen3-8b", "Qwen/Qwen3-8B-Instruct", WARNING),
        ("Qwen/Qwen3-8B-Instruct", None, WARNING),
        ("qwen3-8b", "Qwen3-8B-AWQ", []),  # told by B02
        ("me/qwen3-8b-sft", None, ERROR),
        ("qwen3-9b", "Qwen/Qwen3-8B", ERROR),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", None, ERROR),
    ]
    for asked, name, levels in cases:
        with case(asked, name, levels):
            assert _levels(_lora(name, asked)) == levels


def test_class_that_the_config_tells() -> None:
    cases: list[tuple[str | None, object, object, list[Severity]]] = [
        (
            "qwen3-8b",
            "Qwen3ForCausalLM",
            "transformers.models.qwen3.modeling_qwen3",
            [],
        ),
        ("qwen3-8b", "Qwen3ForCausalLM", None, []),
        ("qwen2.5-vl-7b-instruct", "Qwen2_5_VLForConditionalGeneration", None, []),
        ("qwen3-8b", "LlamaForCausalLM", None, ERROR),
        ("qwen3-8b", "Odd", "transformers.models.qwen3_vl.modeling_qwen3_vl", ERROR),
        ("qwen3-8b", "MyOwnModel", "my.package", []),
        ("qwen3-8b", 7, None, []),
        (None, "LlamaForCausalLM", None, ERROR),
        (None, "Qwen3ForCausalLM", None, WARNING),
    ]
    for asked, kind, library, levels in cases:
        with case(asked, kind, library, levels):
            mapping = {"base_model_class": kind, "parent_library": library}
            documents = {"adapter_config.json": {"auto_mapping": mapping}}
            facts = _lora(None, asked) | {
                "claim": read_claim(documents, WeightType.LORA)
            }
            assert _levels(facts) == levels


@pytest.mark.parametrize("asked", [None, "qwen3-8b"])
def test_base_that_lies_at_the_path_that_is_named(asked: str | None) -> None:
    own = base("qwen3-8b").config()
    claim = _claim("/models/Qwen3-8B")
    for config, levels, words in (
        (own, [], ""),
        ({}, [], ""),
        (
            {**own, "num_hidden_layers": 28},
            ERROR,
            "its num_hidden_layers is 28, not 36",
        ),
        ({**own, "model_type": "llama"}, ERROR, "is of the type llama"),
    ):
        facts = _lora(None, asked) | {"claim": replace(claim, config=config)}
        assert _levels(facts) == levels
        assert words in _words(facts)
    quantised = replace(claim, config={"quantization_config": {"bits": 4}})
    facts = {"claim": quantised, "config": NONE, "weight_type": WeightType.LORA}
    assert severities(base_not_quantised, **facts) == WARNING


def _full(code: str, asked: str | None = None, **more: object) -> dict[str, object]:
    facts: dict[str, object] = {
        "claim": BaseClaim(),
        "requested": NONE if asked is None else identify(asked),
        "weight_type": WeightType.FULL,
        "lora": NONE,
        "tensors": tuple(model(code)),
        "compared": base(code),
    }
    return facts | more


def test_not_named_for_full_weights_is_not_refused() -> None:
    cases: list[tuple[str, list[Severity]]] = [
        ("qwen3-8b", []),
        ("qwen2.5-vl-7b-instruct", []),
        ("qwen3-4b-instruct-2507", WARNING),
        ("qwen3-vl-8b-instruct", WARNING),
    ]
    for code, levels in cases:
        with case(code, levels):
            facts = _full(code, code)
            assert _levels(facts) == levels
            assert bool(levels) is ("that is no refusal" in _words(facts))


def test_nameless_full_weights() -> None:
    assert _levels(_full("qwen3-8b")) == []
    assert _levels(_full("qwen3-8b", claim=_claim("/mnt/ckpt/final"))) == []
    assert _levels(_full("qwen3-8b", claim=_claim("google/gemma-2-9b"))) == ERROR
    # Not on the older list of bases for full weights.
    assert _levels(_full("qwen3-4b-instruct-2507")) == WARNING
    broken = tuple(model("qwen3-8b")[1:])
    damaged = _full("qwen3-8b", tensors=broken)
    # K06 tells what is missing; here it is only told what it was compared with.
    assert _levels(damaged) == WARNING
    assert "the figures are those of qwen3-8b" in _words(damaged)
    assert _levels(_full("qwen3-8b", tensors=broken, compared=NONE)) == ERROR


def test_quantised_base() -> None:
    cases: list[tuple[str | None, object, WeightType, list[Severity]]] = [
        ("Qwen/Qwen3-8B", NONE, WeightType.LORA, []),
        ("Qwen/Qwen3-8B-AWQ", NONE, WeightType.LORA, WARNING),
        ("unsloth/qwen3-8b-bnb-4bit", NONE, WeightType.LORA, WARNING),
        (None, {"quantization_config": {"bits": 4}}, WeightType.LORA, WARNING),
        (None, {"quantization_config": {"bits": 4}}, WeightType.FULL, ERROR),
        (None, {"quantization_config": None}, WeightType.FULL, []),
        # Merged to 16 bits from a quantised copy: no weight is quantised any more.
        ("unsloth/qwen3-8b-bnb-4bit", {}, WeightType.FULL, WARNING),
    ]
    for name, config, kind, levels in cases:
        with case(name, config, kind, levels):
            facts = {"claim": _claim(name), "config": config, "weight_type": kind}
            assert severities(base_not_quantised, **facts) == levels


def test_pretrained_base() -> None:
    cases: list[tuple[str | None, list[Severity]]] = [
        ("Qwen/Qwen3-8B-Base", WARNING),
        ("Qwen/Qwen2.5-7B", WARNING),
        ("Qwen/Qwen2.5-7B-Instruct", []),
        ("Qwen/Qwen2.5-Coder-7B", []),
        (None, []),
    ]
    for name, levels in cases:
        with case(name, levels):
            assert severities(base_is_the_tuned_one, claim=_claim(name)) == levels


def test_wrong_base_dir() -> None:
    rule = base_dir_holds_the_base
    wrong = WrongReference("/models/x is of the type qwen2")
    assert told(rule, reference=wrong) == f"--base-dir: {wrong.reason}"
    assert not problems(rule, reference=Unavailable("there is no copy"))


def test_every_base_is_importable_onto_by_its_own_name() -> None:
    for found in load_bases().values():
        facts = _lora(found.hub_id)
        assert _levels(facts) == []
