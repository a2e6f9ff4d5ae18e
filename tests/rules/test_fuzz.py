"""No rule breaks on what anybody may have written: it passes, fails or skips."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fixtures.tensors import Tensor, write_tensors
from preflight.findings import Outcome, Result
from preflight.model.headers import Container
from preflight.model.inspection import Inspection, inspect
from preflight.model.scan import TensorValues
from preflight.rules import RULES, run_rules
from tests.depth import examples
from tests.rules.inputs import adapter, config

FIELDS = [
    "peft_type",
    "r",
    "lora_alpha",
    "target_modules",
    "rank_pattern",
    "alpha_pattern",
    "bias",
    "lora_bias",
    "modules_to_save",
    "use_dora",
    "use_rslora",
    "use_qalora",
    "init_lora_weights",
    "loftq_config",
    "trainable_token_indices",
    "target_parameters",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "layer_replication",
    "base_model_name_or_path",
    "task_type",
    "fan_in_fan_out",
    "megatron_config",
    "revision",
    "auto_mapping",
    "eva_config",
    "R",
]
OTHERS = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.json",
    "args.json",
]
KEYS = [
    "vocab_size",
    "model_type",
    "architectures",
    "text_config",
    "chat_template",
    "added_tokens",
    "model",
    "vocab",
    "eos_token_id",
    "pad_token",
    "quantization_config",
    "torch_dtype",
    "id",
    "content",
    "name",
    "template",
    "added_tokens_decoder",
    "extra_special_tokens",
    "_name_or_path",
    "hidden_size",
]
PARTS = [
    "base_model",
    "model",
    "layers",
    "language_model",
    "visual",
    "0",
    "1",
    "35",
    "36",
    "99999",
    "self_attn",
    "mlp",
    "q_proj",
    "up_proj",
    "down_proj",
    "experts",
    "lm_head",
    "embed_tokens",
    "lora_A",
    "lora_B",
    "lora_a",
    "weight",
    "bias",
    "default",
    "_orig_mod",
    "module",
    "lora_embedding_A",
    "lora_magnitude_vector",
    "norm",
    "base_layer",
    "trainable_tokens_delta",
    "\x1b[31m",
]

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from([10**30, -(10**299), 2**63]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["q_proj", "all-linear", "LORA", "Qwen/Qwen3-8B", "(", "pissa"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4
        )
    ),
    max_leaves=8,
)
NAMES = st.lists(st.sampled_from(PARTS), min_size=1, max_size=9).map(".".join)
SHAPES = st.lists(st.sampled_from([0, 1, 8, 16, 96, 4096]), max_size=3).map(tuple)
DTYPES = st.sampled_from(["F32", "BF16", "F64", "U8", "BOOL"])
BOUNDED = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _write(directory: Path, documents: Mapping[str, object]) -> None:
    for name, value in documents.items():
        (directory / name).write_text(json.dumps(value), "utf-8")


def _scanned(found: Inspection) -> Inspection:
    """As if every tensor had been scanned and found to be zero: quicker than doing."""
    if not isinstance(found.containers, tuple):
        return found
    values = tuple(
        TensorValues(c.file, t.name, t.count, 0, bool(t.count), t.count > 1, 0.0)
        for c in found.containers
        if isinstance(c, Container)
        for t in c.tensors
    )
    return replace(found, values=values)


def _judge(directory: Path) -> tuple[Outcome, ...]:
    found = _scanned(inspect(directory))
    outcomes = run_rules(RULES, found, found.weight_type)
    for outcome in outcomes:
        for problem in outcome.problems:
            assert "could not be decided" not in problem.message, outcome
            assert "\n" not in problem.message
    return outcomes


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def _sound_weights(directory: Path) -> None:
    found = [Tensor(t.name, "F32", t.shape) for t in adapter(layers=(0, 1))]
    write_tensors(directory / "adapter_model.safetensors", found)


@BOUNDED
@given(fields=st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
def test_any_value_in_any_field_of_the_config(
    fields: dict[str, object], directory: Path
) -> None:
    _sound_weights(directory)
    _write(directory, {"adapter_config.json": config(**fields)})
    assert _judge(directory)


@BOUNDED
@given(documents=st.dictionaries(st.sampled_from(OTHERS), VALUES, max_size=4))
def test_any_value_in_the_files_beside(
    documents: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    fresh = tmp_path_factory.mktemp("beside")
    _sound_weights(fresh)
    _write(fresh, {"adapter_config.json": config(), **documents})
    assert _judge(fresh)


@BOUNDED
@given(
    tensors=st.dictionaries(NAMES, st.tuples(DTYPES, SHAPES), max_size=6),
    rank=st.sampled_from([8, 16, None]),
)
def test_any_tensor_names_and_shapes(
    tensors: dict[str, tuple[str, tuple[int, ...]]], rank: object, directory: Path
) -> None:
    made = [Tensor(name, dtype, shape) for name, (dtype, shape) in tensors.items()]
    write_tensors(directory / "adapter_model.safetensors", made)
    _write(directory, {"adapter_config.json": config(r=rank)})
    outcomes = _judge(directory)
    results = {o.code: o.result for o in outcomes}
    assert results["S05"] is (Result.PASSED if tensors else Result.FAILED)


@BOUNDED
@given(
    tensors=st.dictionaries(NAMES, st.tuples(DTYPES, SHAPES), max_size=4),
    index=VALUES,
    document=VALUES,
)
def test_any_full_weights_and_index(
    tensors: dict[str, tuple[str, tuple[int, ...]]],
    index: object,
    document: object,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    fresh = tmp_path_factory.mktemp("full")
    made = [Tensor(name, dtype, shape) for name, (dtype, shape) in tensors.items()]
    write_tensors(fresh / "model.safetensors", made)
    written = {"metadata": document, "weight_map": index}
    names = ("config.json", "tokenizer.json", "tokenizer_config.json")
    _write(fresh, {"model.safetensors.index.json": written})
    _write(fresh, dict.fromkeys(names, document))
    assert _judge(fresh)
