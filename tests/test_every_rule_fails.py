"""A table that proves of each rule that some directory makes it fail."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL, write_tiny_bases
from preflight.cli import main
from preflight.findings import Problem, WeightType
from preflight.model.headers import Container
from preflight.rules import RULES
from preflight.rules.s_container import safetensors_library_agrees

LORA, FULL = WeightType.LORA, WeightType.FULL

# Code → a fault of the fixtures, and the kind of directory that it is done to.
FAULT_OF = {
    "B01": ("base-coder", LORA),
    "B02": ("base-bnb", LORA),
    "B03": ("architecture", FULL),
    "B04": ("auto-map", FULL),
    "B05": ("layers", FULL),
    "B06": ("base-pretrained", LORA),
    "C01": ("targets-null", LORA),
    "C02": ("rank-12", LORA),
    "C03": ("rank-differs", LORA),
    "C04": ("rank-pattern", LORA),
    "C05": ("dora-flag", LORA),
    "C06": ("lora-bias-flag", LORA),
    "C07": ("modules-to-save-flag", LORA),
    "C08": ("token-indices-flag", LORA),
    "C09": ("pissa", LORA),
    "C10": ("rslora", LORA),
    "C11": ("fused-experts", LORA),
    "C12": ("target-not-in-file", LORA),
    "C13": ("unknown-key", LORA),
    "C14": ("fan-in-fan-out", LORA),
    "C15": ("lm-head-lora", LORA),
    "D01": ("empty-directory", LORA),
    "D02": ("both-kinds", LORA),
    "D03": ("in-checkpoint", LORA),
    "D04": ("no-weights", LORA),
    "D05": ("only-bin", LORA),
    "D06": ("torch-only", FULL),
    "D08": ("no-config", FULL),
    "D11": ("lfs-pointer", LORA),
    "D12": ("dangling-link", LORA),
    "D13": ("empty-tokenizer", LORA),
    "D15": ("temporary", LORA),
    "D18": ("config-not-json", FULL),
    "I01": ("index-list", FULL),
    "I02": ("shard-missing", FULL),
    "I03": ("shard-foreign", FULL),
    "I04": ("index-ghost", FULL),
    "I05": ("index-total", FULL),
    "I06": ("index-absolute", FULL),
    "I07": ("index-missing", FULL),
    "K01": ("orig-mod", LORA),
    "K02": ("missing-b", LORA),
    "K03": ("layer-beyond", LORA),
    "K06": ("tensor-missing", FULL),
    "K07": ("lm-head-missing", FULL),
    "S01": ("html", LORA),
    "S02": ("truncated", LORA),
    "S03": ("header-hole", LORA),
    "S05": ("empty-file-40", LORA),
    "S06": ("zero-size-tensors", LORA),
    "S07": ("dtype-u8", LORA),
    "S08": ("mixed-dtypes", LORA),
    "S09": ("no-format", LORA),
    "S10": ("nan-last", LORA),
    "S11": ("nan-first", FULL),
    "S12": ("b-all-zero", LORA),
    "S13": ("nan-all", LORA),
    "S14": ("nan-all", FULL),
    "S15": ("dtype-full-f32", FULL),
    "V01": ("vocab-rows", FULL),
    "V02": ("token-in-tokenizer", LORA),
    "V03": ("template-jinja", LORA),
    "V04": ("template-disagree", LORA),
    "V05": ("stop-token", FULL),
}


@pytest.fixture(autouse=True)
def tiny_bases(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.getbasetemp() / "tiny-bases"
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_tiny_bases(folder)))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "no-cache"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(folder / "no-cache"))


Failed = Callable[..., set[str]]


@pytest.fixture
def failed(capsys: pytest.CaptureFixture[str]) -> Failed:
    """The codes of the rules that fail on a directory."""

    def run(directory: Path, *words: str) -> set[str]:
        main(["check", str(directory), "-q", "--format", "json", *words])
        outcomes = json.loads(capsys.readouterr().out)["outcomes"]
        return {o["code"] for o in outcomes if o["result"] == "failed"}

    return run


def adapter(directory: Path, base: str = TINY_TEXT) -> Path:
    return build_adapter(directory, base=base, trainer="trl", template=TINY_TEMPLATE)


def full(directory: Path, base: str = TINY_TEXT, seed: int = 0) -> Path:
    return build_full(
        directory,
        base=base,
        sparse=False,
        shard_bytes=60_000,
        template=TINY_TEMPLATE,
        seed=seed,
    )


@pytest.mark.parametrize("code", sorted(FAULT_OF))
def test_a_fault_makes_it_fail(code: str, tmp_path: Path, failed: Failed) -> None:
    fault, kind = FAULT_OF[code]
    directory = tmp_path / "model"
    build, words = (
        (adapter, []) if kind is LORA else (full, ["--base-model", TINY_TEXT])
    )
    build(directory)
    assert code not in failed(directory, *words)
    FAULTS[fault].apply(directory)
    assert code in failed(directory, *words)


def test_d16_a_name_that_is_no_key(tmp_path: Path, failed: Failed) -> None:
    directory = adapter(tmp_path / "model")
    (directory / "LICENSE\n.txt").write_text("words")
    assert "D16" in failed(directory)


def test_k04_a_trained_tower(tmp_path: Path, failed: Failed) -> None:
    directory = adapter(tmp_path / "model", TINY_VL)
    FAULTS["all-visual"].apply(directory)
    assert "K04" in failed(directory)


def test_k05_a_tower_that_is_not_the_base_s(tmp_path: Path, failed: Failed) -> None:
    base = full(tmp_path / "base", TINY_VL)
    words = ["--base-model", TINY_VL, "--base-dir", str(base)]
    assert "K05" not in failed(full(tmp_path / "same", TINY_VL), *words)
    assert "K05" in failed(full(tmp_path / "other", TINY_VL, seed=1), *words)


def test_b07_another_model_to_compare_with(tmp_path: Path, failed: Failed) -> None:
    base = full(tmp_path / "base", TINY_VL)
    directory = adapter(tmp_path / "model")
    assert "B07" in failed(directory, "--base-dir", str(base))


def test_s04_a_file_that_only_our_reader_took(tmp_path: Path) -> None:
    """No file is known that does it: the library is the second opinion."""
    (tmp_path / "a.safetensors").write_bytes(b"")
    taken = Container("a.safetensors", 0, 8, (), None)
    (problem,) = safetensors_library_agrees.check(tmp_path, (taken,))
    assert isinstance(problem, Problem)
    assert problem.where == "a.safetensors"


def _proven() -> Iterator[str]:
    """Codes of the table, and of the tests that bear one in their names."""
    yield from FAULT_OF
    for name in globals():
        if found := re.match(r"test_([a-z]\d\d)_", name):
            yield found[1].upper()


def test_the_table_is_complete() -> None:
    assert sorted(_proven()) == sorted(rule.code for rule in RULES)


def test_nothing_fails_on_what_is_sound(tmp_path: Path, failed: Failed) -> None:
    assert failed(adapter(tmp_path / "adapter")) == set()
    assert failed(full(tmp_path / "full"), "--base-model", TINY_TEXT) == set()
