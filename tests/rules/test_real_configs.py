"""Adapters like those in public repositories: whose base, which targets, what rank.

The weights are holes of the shapes that such a base gives, so they are not scanned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixtures.adapters import SEVEN, Plan, targeted_modules
from fixtures.peft import config_keys
from fixtures.tensors import Tensor, write_tensors
from fixtures.trainers import TRAINERS
from preflight.catalog.base_models import load_bases
from preflight.cli import main

ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
Modules = list[tuple[str, tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The figures of a model that cannot be imported onto."""

    layers: int
    hidden: int
    inter: int
    heads: int
    key_values: int
    path: str = "model.layers"

    def modules(self, names: Iterable[str]) -> Modules:
        """The linear layers of these names, as PEFT calls them, and (out, in)."""
        q, kv = 128 * self.heads, 128 * self.key_values
        shapes = {
            "q_proj": ("self_attn", q, self.hidden),
            "k_proj": ("self_attn", kv, self.hidden),
            "v_proj": ("self_attn", kv, self.hidden),
            "o_proj": ("self_attn", self.hidden, q),
            "gate_proj": ("mlp", self.inter, self.hidden),
            "up_proj": ("mlp", self.inter, self.hidden),
            "down_proj": ("mlp", self.hidden, self.inter),
        }
        return [
            (f"base_model.model.{self.path}.{n}.{block}.{name}", (out, into))
            for n in range(self.layers)
            for name, (block, out, into) in shapes.items()
            if name in names
        ]


VL_2B = Sizes(28, 2048, 6144, 16, 8, "model.language_model.layers")
QWEN2_1B = Sizes(28, 1536, 8960, 12, 2)
VL_3B = Sizes(36, 2048, 11008, 16, 2, "model.language_model.layers")
MISTRAL = Sizes(32, 4096, 14336, 32, 8)
GEMMA_270M = Sizes(18, 640, 2048, 8, 2)
GEMMA_3N = Sizes(35, 2048, 16384, 16, 4, "model.language_model.layers")


def _roberta() -> Modules:
    path = "base_model.model.roberta.encoder.layer"
    return [
        (f"{path}.{n}.attention.self.{name}", (768, 768))
        for n in range(12)
        for name in ("query", "value")
    ]


@dataclass(frozen=True, slots=True)
class Case:
    """One adapter: `of` is a base's code or the sizes of something else."""

    about: str
    name: str
    rank: int
    targets: tuple[str, ...]
    of: str | Sizes
    verdict: str
    codes: str = ""
    peft: str = "0.18.1"
    trainer: str = "peft-0.18"
    vision: bool = False
    more: dict[str, object] = field(default_factory=dict)


CASES = [
    Case("GRPO of Unsloth on its 4-bit copy",
         "unsloth/qwen2.5-7b-instruct-unsloth-bnb-4bit", 32, SEVEN,
         "qwen2.5-7b-instruct", "warn", "B02", peft="0.15.2"),
    Case("attention of a VL model", "Qwen/Qwen2.5-VL-7B-Instruct", 8, ATTENTION,
         "qwen2.5-vl-7b-instruct", "pass", peft="0.15.2", trainer="peft-0.15"),
    Case("the seven names hit the tower as well",
         "/data/home/someone/models/Qwen/Qwen2.5-VL-7B-Instruct", 8, SEVEN,
         "qwen2.5-vl-7b-instruct", "fail", "K04", peft="0.10.0",
         trainer="peft-0.15", vision=True),
    Case("lm_head among the targets", "Qwen/Qwen2.5-7B-Instruct", 32,
         (*SEVEN, "lm_head"), "qwen2.5-7b-instruct", "fail", "C15"),
    Case("the pretrained model", "unsloth/Qwen2.5-7B", 16, SEVEN,
         "qwen2.5-7b-instruct", "warn", "B06", peft="0.10.0"),
    Case("Qwen2 has the shapes of Qwen2.5", "./model/Qwen2-7B-Instruct", 16, SEVEN,
         "qwen2.5-7b-instruct", "fail", "B01", peft="0.10.0",
         more={"revision": "unsloth"}),
    Case("Qwen3-VL of 2B", "Qwen/Qwen3-VL-2B-Instruct", 16, SEVEN, VL_2B, "fail",
         "B01", peft="0.19.1"),
    Case("the same in rank 32", "Qwen/Qwen3-VL-2B-Instruct", 32, SEVEN, VL_2B, "fail",
         "B01", peft="0.19.1"),
    Case("rank 64 on the tied 4B", "Qwen/Qwen3-4B-Instruct-2507", 64, SEVEN,
         "qwen3-4b-instruct-2507", "pass"),
    Case("a model made from Qwen3-VL-2B", "nvidia/Cosmos-Reason2-2B", 32, SEVEN,
         VL_2B, "fail", "B01"),
    Case("rank 1 on Mistral", "mistralai/Mistral-7B-Instruct-v0.3", 1,
         ("o_proj", "down_proj"), MISTRAL, "fail", "B01 C02"),
    Case("a path in another script",
         "/Users/x/Desktop/Arapça Eğitimi/models/handwritten-OCR-v3", 8, ATTENTION,
         VL_3B, "fail", "B01", peft="0.19.1"),
    Case("Gemma 3n of Unsloth", "unsloth/gemma-3n-e4b-it-unsloth-bnb-4bit", 16,
         ATTENTION, GEMMA_3N, "fail", "B01",
         more={"auto_mapping": {"base_model_class": "Gemma3nForConditionalGeneration",
                                "unsloth_fixed": True}}),
    Case("a small Gemma", "/content/train/gemma3-270m/google/gemma-3-270m-it", 8,
         ("q_proj", "v_proj"), GEMMA_270M, "fail", "B01", peft="0.19.1"),
]  # fmt: skip


def _modules(case: Case) -> Modules:
    if isinstance(case.of, Sizes):
        return case.of.modules(case.targets)
    base = load_bases()[case.of]
    trainer = TRAINERS[case.trainer]
    plan = Plan(base, case.rank, case.targets, trainer, vision=case.vision)
    found = list(targeted_modules(plan))
    if "lm_head" in case.targets:
        shape = (base.vocab_size, base.hidden_size)
        found.append(("base_model.model.lm_head", shape))
    return found


def _write(directory: Path, modules: Modules, config: dict[str, object]) -> None:
    directory.mkdir()
    rank = config["r"]
    assert isinstance(rank, int)
    halves = [
        half
        for module, (out, into) in modules
        for half in (
            Tensor(f"{module}.lora_A.weight", "F32", (rank, into)),
            Tensor(f"{module}.lora_B.weight", "F32", (out, rank)),
        )
    ]
    write_tensors(directory / "adapter_model.safetensors", halves)
    text = json.dumps(config, indent=2)
    (directory / "adapter_config.json").write_text(text, "utf-8")


def _config(case: Case) -> dict[str, object]:
    return {
        **config_keys(case.peft),
        "base_model_name_or_path": case.name,
        "r": case.rank,
        "lora_alpha": case.rank,
        "target_modules": list(case.targets),
        **case.more,
    }


def _check(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[str, set[str], str]:
    main(["check", str(directory), "--format", "json", "-q", "--no-scan"])
    text = capsys.readouterr().out
    document = json.loads(text)
    failed = {o["code"] for o in document["outcomes"] if o["result"] == "failed"}
    assert "could not be decided" not in text
    return document["verdict"], failed, text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.about)
def test_verdict(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path / "a", _modules(case), _config(case))
    verdict, codes, text = _check(tmp_path / "a", capsys)
    assert verdict == case.verdict, text
    assert set(case.codes.split()) <= codes


def test_classifier_of_another_kind_of_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = config_keys("0.19.1")
    named = {"base_model_name_or_path": "klue/roberta-base", "task_type": "SEQ_CLS"}
    more = {"r": 8, "modules_to_save": ["classifier", "score"]}
    targets = {"target_modules": ["value", "query"]}
    _write(tmp_path / "a", _roberta(), {**keys, **named, **more, **targets})
    verdict, codes, _ = _check(tmp_path / "a", capsys)
    assert verdict == "fail"
    assert {"B01", "C07", "C14"} <= codes


def test_file_of_mlx(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parameters = {"rank": 16, "scale": 20.0, "dropout": 0.05}
    config = {"fine_tune_type": "lora", "iters": 700, "lora_parameters": parameters}
    _write(tmp_path / "a", QWEN2_1B.modules(SEVEN[:2]), {**config, "r": 16})
    directory = tmp_path / "a"
    (directory / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    weights = directory / "adapter_model.safetensors"
    weights.rename(directory / "adapters.safetensors")
    verdict, codes, text = _check(directory, capsys)
    assert verdict == "fail"
    assert {"C01", "D04"} <= codes
    assert "adapters.safetensors" in text


def test_weights_left_as_a_pointer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = Case("", "Qwen/Qwen2-1.5B-Instruct", 32, SEVEN, QWEN2_1B, "fail")
    _write(tmp_path / "a", _modules(case), _config(case))
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\n"
    weights = tmp_path / "a" / "adapter_model.safetensors"
    weights.write_text(pointer + "size 147770496\n", "utf-8")
    verdict, codes, _ = _check(tmp_path / "a", capsys)
    assert verdict == "fail"
    assert {"D11", "B01"} <= codes
