"""Rules that no fault of the fixtures makes fail, each with a directory that does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL, write_tiny_bases
from preflight.cli import main
from preflight.findings import Problem
from preflight.model.headers import Container
from preflight.rules.s_container import safetensors_library_agrees


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


def test_d16_a_name_that_is_no_key(tmp_path: Path, failed: Failed) -> None:
    directory = adapter(tmp_path / "model")
    (directory / "LICENSE\n.txt").write_text("words")
    assert "D16" in failed(directory)


def test_k05_a_tower_that_is_not_the_base_s(tmp_path: Path, failed: Failed) -> None:
    base = full(tmp_path / "base", TINY_VL)
    words = ["--base-model", TINY_VL, "--base-dir", str(base)]
    assert "K05" not in failed(full(tmp_path / "same", TINY_VL), *words)
    assert "K05" in failed(full(tmp_path / "other", TINY_VL, seed=1), *words)


def test_k08_a_merge_that_merged_nothing(tmp_path: Path, failed: Failed) -> None:
    base = full(tmp_path / "base")
    words = ["--base-model", TINY_TEXT, "--base-dir", str(base)]
    assert "K08" in failed(full(tmp_path / "same"), *words)
    assert "K08" not in failed(full(tmp_path / "other", seed=1), *words)


def test_b07_another_model_to_compare_with(tmp_path: Path, failed: Failed) -> None:
    base = full(tmp_path / "base", TINY_VL)
    directory = adapter(tmp_path / "model")
    assert "B07" in failed(directory, "--base-dir", str(base))


def test_s04_a_file_that_only_our_reader_took() -> None:
    """No file is known that does it: the library is the second opinion."""
    taken = Container("a.safetensors", 0, 8, (), None)
    refused = {"a.safetensors": "it is empty"}
    (problem,) = safetensors_library_agrees.check((taken,), refused)
    assert isinstance(problem, Problem)
    assert problem.where == "a.safetensors"


def test_nothing_fails_on_what_is_sound(tmp_path: Path, failed: Failed) -> None:
    assert failed(adapter(tmp_path / "adapter")) == set()
    assert failed(full(tmp_path / "full"), "--base-model", TINY_TEXT) == set()
