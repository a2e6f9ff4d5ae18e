"""Whole directories of full weights: the good ones pass, each fault is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fixtures.faults import FAULTS, FULL, Family, Fault, Inapplicable
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from fixtures.tokenizer import Transformers
from preflight.findings import Report, Result, Verdict
from preflight.model.base_choice import Request
from preflight.model.inspection import inspect
from preflight.rules import STATIC_RULES, run_rules

FAMILIES = (Family.INDEX, Family.FULL_MODEL, Family.VOCABULARY, Family.TEMPLATE)
NAMES = sorted(
    one.name for one in FAULTS.values() if one.kinds & FULL and one.family in FAMILIES
)
pytestmark = pytest.mark.usefixtures("tiny_bases")


@pytest.fixture(autouse=True)
def _no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))


def _judge(directory: Path, base: str | None, base_dir: Path | None = None) -> Report:
    found = inspect(directory, Request(base_model=base, base_dir=base_dir))
    return Report(run_rules(STATIC_RULES, found, found.weight_type))


def _failed(report: Report) -> set[str]:
    return {outcome.code for outcome in report.select(Result.FAILED)}


def _model(directory: Path, base: str, style: Transformers, seed: int = 0) -> Path:
    return build_full(
        directory,
        base=base,
        sparse=False,
        shard_bytes=60_000,
        template=TINY_TEMPLATE,
        transformers=style,
        seed=seed,
    )


def _told_of(style: Transformers) -> set[str]:
    """The codes of a good model: older releases do not read what 5 writes."""
    return {"V06"} if style is Transformers.V5_23 else set()


@pytest.mark.parametrize("style", Transformers)
@pytest.mark.parametrize("base", [TINY_TEXT, TINY_VL])
def test_good_model(base: str, style: Transformers, tmp_path: Path) -> None:
    directory = _model(tmp_path / "m", base, style)
    copy = _model(tmp_path / "base", base, Transformers.V4_51, seed=1)
    nameless = _judge(directory, None)
    for report in (_judge(directory, base), _judge(directory, base, copy), nameless):
        assert {o.code for o in report.select(Result.FAILED)} == _told_of(style)
    assert "B01" in {o.code for o in nameless.select(Result.SKIPPED)}


@pytest.mark.parametrize(
    "code", ["qwen2.5-7b-instruct", "qwen2.5-vl-7b-instruct", "qwen3-8b"]
)
@pytest.mark.parametrize("style", Transformers)
def test_good_model_of_a_real_base(
    code: str, style: Transformers, tmp_path: Path
) -> None:
    directory = build_full(tmp_path / "m", base=code, transformers=style)
    report = _judge(directory, code)  # without a template, which is not ours to keep
    assert _failed(report) == {"V07", *_told_of(style)}


def _broken(one: Fault, folder: Path) -> tuple[Path, str]:
    directory = _model(folder / TINY_TEXT, TINY_TEXT, Transformers.V4_57)
    try:
        one.apply(directory)
    except Inapplicable:
        shutil.rmtree(directory)
        directory = _model(folder / TINY_VL, TINY_VL, Transformers.V4_57)
        one.apply(directory)
        return directory, TINY_VL
    return directory, TINY_TEXT


@pytest.mark.parametrize(
    "name",
    ["tensor-missing", "prefix-in-memory", "vocab-rows", "template-jinja", "layers"],
)
def test_fault_is_named_where_the_base_is_not(name: str, tmp_path: Path) -> None:
    """The figures tell what to compare with."""
    directory, _ = _broken(FAULTS[name], tmp_path)
    report = _judge(directory, None)
    failed = {outcome.code for outcome in report.select(Result.FAILED)}
    assert report.verdict is Verdict.FAIL
    assert FAULTS[name].codes & failed
