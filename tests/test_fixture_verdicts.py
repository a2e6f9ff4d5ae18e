"""Every fault, every trainer and every base that the fixtures know, through the CLI."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS, Inapplicable, codes_of
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL, write_tiny_bases
from fixtures.trainers import TRAINERS
from preflight.catalog.bases import load_bases
from preflight.cli import main
from preflight.findings import Verdict, WeightType

LORA, FULL = WeightType.LORA, WeightType.FULL
EXIT = {"pass": 0, "warn": 0, "fail": 1}
# Words that the report has to say of a fault, beside the rule that tells of it.
WORDS = {
    "adapter-inside": "--weight-type",
    "base-coder": "Coder",
    "base-distill": "Distill",
    "base-local-nameless": "--base-model",
    "base-pretrained": "pretrained",
    "base-qwq": "QwQ",
    "both-kinds": "--weight-type",
    "checkpoint-wrapped": "_checkpoint_wrapped_module",
    "config-bom": "byte order mark",
    "config-comma": "trailing comma",
    "config-nan": "NaN",
    "config-twice": "twice",
    "config-utf16": "UTF-16",
    "dangling-link": "link to nothing",
    "data-parallel": "data-parallel",
    "default-names": "own name, default",
    "dora": "DoRA",
    "dtype-u8": "U8",
    "duplicate-name": "twice",
    "empty-config": "0 bytes",
    "empty-directory": "empty",
    "empty-file-40": "no tensor",
    "fsdp-half-rank": "FSDP",
    "fsdp-wrapped": "_fsdp_wrapped_module",
    "header-hole": "after the end",
    "header-overlap": "before the end",
    "html": "HTML",
    "in-checkpoint": "preflight check",
    "in-converted": "converted/default",
    "language-model-segment": "language_model",
    "layer-beyond": "layer 999",
    "layer-gap": "layer 0",
    "lfs-pointer": "git-lfs",
    "lm-head-lora": "lm_head",
    "missing-a": "lora_A is missing",
    "missing-b": "lora_B is missing",
    "name-adapt": "adapt_model.safetensors",
    "name-case": "Adapter_Model.safetensors",
    "name-copy": "adapter_model (1).safetensors",
    "name-model": "rename",
    "nan-last": "NaN",
    "no-prefix": "base_model.model.",
    "one-byte-short": "1 byte short",
    "only-bin": "pickle",
    "orig-mod": "torch.compile",
    "rank-12": "12; allowed are 8, 16, 32, 64",
    "rank-differs": "r = 32",
    "renamed-gguf": "GGUF",
    "renamed-zip": "PyTorch",
    "target-not-in-file": "router_proj",
    "torchtune": "torchtune",
    "trailing-bytes": "1,024 bytes",
    "transposed": "transposed",
    "unknown-key": "use_quantum_lora",
    "visual-keys": "vision tower",
    "weights-folder": "directory",
    "weights-in-default": "default",
    "wrong-width": "columns",
    "zero-byte-weights": "empty",
    "zero-only": "DeepSpeed",
}


@pytest.fixture(autouse=True)
def tiny_bases(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.getbasetemp() / "tiny-bases"
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_tiny_bases(folder)))
    # A model cache of whoever runs the tests must not be compared with.
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "no-cache"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(folder / "no-cache"))


@dataclass(frozen=True, slots=True)
class Checked:
    """What one run of `preflight check` said."""

    verdict: str
    codes: frozenset[str]
    messages: str
    exit_code: int


def _check(
    directory: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> Checked:
    status = main(["check", str(directory), "--format", "json", "-q", *options])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    document: dict[str, Any] = json.loads(out)
    failed = [o for o in document["outcomes"] if o["result"] == "failed"]
    lines = [f"{p['where']}: {p['message']}" for o in failed for p in o["problems"]]
    codes = frozenset(o["code"] for o in failed)
    return Checked(document["verdict"], codes, "\n".join(lines), status)


def _build(directory: Path, kind: WeightType, base: str = TINY_TEXT) -> Path:
    if kind is LORA:
        return build_adapter(
            directory, base=base, trainer="trl", template=TINY_TEMPLATE
        )
    return build_full(
        directory, base=base, sparse=False, shard_bytes=60_000, template=TINY_TEMPLATE
    )


CASES = [
    pytest.param(name, kind, id=f"{name}-{kind.value}")
    for name in sorted(FAULTS)
    for kind in sorted(FAULTS[name].kinds)
]


def _options(kind: WeightType) -> list[str]:
    """Full weights seldom name their base, so people do."""
    return ["--base-model", TINY_TEXT] if kind is FULL else []


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_fault_is_found_and_named(
    name: str, kind: WeightType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = FAULTS[name]
    if name == "unreadable" and os.geteuid() == 0:
        pytest.skip("root reads everything")
    directory = _build(tmp_path / "model", kind)
    options = _options(kind)
    try:
        fault.apply(directory)
    except Inapplicable:
        directory = _build(tmp_path / "vl", kind, TINY_VL)
        options = ["--base-model", TINY_VL]
        fault.apply(directory)
    found = _check(directory, capsys, *options)
    assert found.verdict == fault.expected.value, found.messages
    assert found.exit_code == EXIT[found.verdict]
    assert "could not be decided" not in found.messages
    if fault.expected is not Verdict.PASS and codes_of(name):
        assert found.codes & codes_of(name), found.messages
    assert WORDS.get(name, "") in found.messages


def test_words_are_of_faults_that_exist() -> None:
    assert WORDS.keys() <= FAULTS.keys()


def _expected(trainer: str) -> str:
    return "warn" if trainer == "unsloth" else "pass"  # its base is a 4-bit copy


@pytest.mark.parametrize("base", [TINY_TEXT, TINY_VL])
@pytest.mark.parametrize("trainer", sorted(TRAINERS))
def test_good_adapter_of_every_trainer(
    trainer: str, base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_adapter(
        tmp_path / "a", base=base, trainer=trainer, template=TINY_TEMPLATE
    )
    for options in ([], ["--base-model", base]):
        found = _check(directory, capsys, *options)
        assert found.verdict == _expected(trainer), found.messages
        assert found.codes == ({"B02"} if trainer == "unsloth" else frozenset())


@pytest.mark.parametrize("base", sorted(load_bases()))
@pytest.mark.parametrize("trainer", ["peft-0.4", "peft-0.21", "ms-swift-4", "unsloth"])
def test_good_adapter_of_every_base(
    trainer: str, base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_adapter(
        tmp_path / "a", base=base, trainer=trainer, rank=8, tiny=True, dtype="BF16"
    )
    found = _check(directory, capsys)
    assert found.verdict == _expected(trainer), found.messages


@pytest.mark.parametrize("rank", [8, 16, 32, 64])
@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_good_adapter_of_every_rank(
    rank: int, dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_adapter(tmp_path / "a", base=TINY_VL, rank=rank, dtype=dtype)
    assert _check(directory, capsys).verdict == "pass"


@pytest.mark.parametrize("base", [TINY_TEXT, TINY_VL])
def test_good_full_weights(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = _build(tmp_path / "m", FULL, base)
    found = _check(directory, capsys, "--base-model", base)
    assert found.verdict == "pass", found.messages


@pytest.mark.parametrize("base", sorted(load_bases()))
def test_good_full_weights_of_every_base(
    base: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gigabytes of holes: names, shapes and configs are judged, not the values."""
    directory = build_full(tmp_path / "m", base=base)
    found = _check(directory, capsys, "--base-model", base, "--no-scan")
    listed = FULL in load_bases()[base].importable
    assert found.verdict == ("pass" if listed else "warn"), found.messages
    assert found.codes == (frozenset() if listed else {"B01"})


def test_tower_of_a_vision_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = build_adapter(tmp_path / "a", base=TINY_VL, vision=True)
    found = _check(directory, capsys)
    assert found.verdict == "fail"
    assert found.codes == {"K04"}
