"""A mixture of experts, described by one entry of a user's catalog file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.adapters import SEVEN, build_adapter
from fixtures.mixture import EXPERT_LAYERS, EXPERTS, MIXTURE, write_mixture
from preflight.catalog.base_models import BaseModel, load_bases
from preflight.findings import Report, Result, Unavailable, Verdict
from preflight.model.base_choice import Request
from preflight.model.inspection import Inspection, inspect
from preflight.rules import RULES
from preflight.rules._rule import run_rules
from preflight.rules.k_modules import misfit
from tests.rules.inputs import pair, view

ATTENTION = SEVEN[:4]
EXPERT = SEVEN[4:]


@pytest.fixture(autouse=True)
def mixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_mixture(tmp_path)))
    return load_bases()[MIXTURE]


def judged(directory: Path, named: str | None = None) -> tuple[Inspection, Report]:
    found = inspect(directory, Request(base_model=named))
    return found, Report(run_rules(RULES, found, found.weight_type))


def failed(report: Report) -> dict[str, str]:
    return {o.code: o.problems[0].message for o in report.select(Result.FAILED)}


def test_one_entry_describes_a_published_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen3-30B-A3B: 18,867 tensors, 30,532,122,624 numbers, as its hub page says."""
    width = {
        "hidden_size": 2048, "intermediate_size": 6144, "heads": 32, "kv_heads": 4,
        "head_dim": 128, "sizes": {"expert_intermediate": 768},
    }  # fmt: skip
    file = write_mixture(tmp_path / "wide", **width, parameters=30_532_122_624)
    monkeypatch.setenv("PREFLIGHT_BASES", str(file))
    base = load_bases()[MIXTURE]
    names = {spec.name: spec.shape for spec in base.checkpoint_tensors()}
    assert len(names) == 18_867
    assert names["model.layers.47.mlp.experts.127.down_proj.weight"] == (2048, 768)
    assert names["model.layers.0.mlp.gate.weight"] == (128, 2048)
    assert base.config()["num_experts"] == 128
    assert base.config()["moe_intermediate_size"] == 768


@pytest.mark.parametrize(
    ("targets", "tensors"),
    [
        (ATTENTION, 2 * 4 * EXPERT_LAYERS),
        (EXPERT, 2 * 3 * EXPERT_LAYERS * EXPERTS),  # 36,864
    ],
)
def test_an_adapter_of_it_is_read_and_judged(
    tmp_path: Path, targets: tuple[str, ...], tensors: int
) -> None:
    directory = build_adapter(
        tmp_path / "m", base=MIXTURE, rank=8, targets=targets, base_config=True
    )
    found, report = judged(directory)
    assert not isinstance(found.tensors, Unavailable)
    assert len(found.tensors) == tensors
    assert failed(report) == {}
    assert report.verdict is Verdict.PASS


def test_another_base_is_told_apart_from_it(tmp_path: Path) -> None:
    directory = build_adapter(tmp_path / "m", base=MIXTURE, rank=8, targets=ATTENTION)
    assert failed(judged(directory, "qwen3-32b")[1]).keys() == {"B01", "K03"}


@pytest.mark.parametrize(
    ("module", "out", "into", "told"),
    [
        ("model.layers.47.mlp.experts.127.gate_proj", 16, 24, ""),
        ("model.layers.0.mlp.gate", 128, 24, ""),
        ("model.layers.0.mlp.experts.128.up_proj", 16, 24, "expert 128 does not exist"),
        ("model.layers.48.mlp.experts.0.up_proj", 16, 24, "layer 48 does not exist"),
        ("model.layers.0.mlp.experts.0.down_proj", 16, 24, "needs 16: it seems"),
        ("model.layers.0.mlp.experts.3.w1", 16, 24, "no module w1 there"),
        ("model.layers.0.mlp.up_proj", 16, 24, "no module up_proj there"),
    ],
)
def test_places_in_a_mixture(
    mixture: BaseModel, module: str, out: int, into: int, told: str
) -> None:
    halves = view(pair(module, rank=16, out=out, into=into)).halves
    causes = [misfit(half, mixture) for half in halves]
    assert any(told in cause for cause in causes) if told else causes == ["", ""]
