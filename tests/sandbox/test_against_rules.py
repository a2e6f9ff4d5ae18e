"""The tool's rules against the sandbox's job, over all that the fixtures can build.

The job's checks are written apart from the rules, by the same public pages. So what
the tool lets through and the job refuses is a mistake in one of the two; what the
tool refuses and the job takes has to stand in `STRICTER`, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS, FULL, LORA, Inapplicable
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from fixtures.trainers import TRAINERS
from preflight.catalog.bases import load_bases
from preflight.findings import WeightType
from preflight.sandbox.studio.bases import IMPORTABLE
from tests.running import InProcess
from tests.sandbox.court import Court, catalog_with_invented_tokenizers

LORA_FAULTS = sorted(one.name for one in FAULTS.values() if one.kinds & LORA)
FULL_FAULTS = sorted(one.name for one in FAULTS.values() if one.kinds & FULL)
REAL = [base.name for base in IMPORTABLE]
NEED_A_TEMPLATE = {"template-newline", "template-crlf", "template-word"}

# Why the tool refuses what the job takes; "kind:" before a fault that is of both.
STRICTER: Mapping[str, str] = {
    "the job reads headers only: NaN, infinite and zero weights import, useless": (
        "nan-first nan-last nan-all nan-one-tensor inf-first inf-last "
        "lora:b-all-zero lora:b-all-minus-zero lora:a-all-zero"
    ),
    "the job imports onto the base it is told; that another one was trained shows in"
    " the directory alone": (
        "base-coder base-qwq base-distill base-qwen2 base-thinking base-small"
        " full:base-of-full"
    ),
    "a flag switches a variant on that no tensor shows; as plain LoRA it is wrong": (
        "dora-flag pissa pissa-niter olora corda loftq qalora bdlora alora arrow"
        " layer-replication"
    ),
    "the config speaks of weights that the file lacks: it is not the whole result": (
        "lora-bias-flag bias-lora-only modules-to-save-flag token-indices-flag"
    ),
    "the job reads rank and kind of the config; PEFT and vLLM need the rest": (
        "targets-null targets-object alpha-text alpha-zero"
    ),
    "a file far beyond what any trainer writes is not read to its end": "config-large",
    "which of the two is meant cannot be told; whoever asks for one gets that one": (
        "both-kinds adapter-inside"
    ),
    "the job compares dimensions, not the class that loads them": (
        "full:architecture-classifier"
    ),
    "the index names what is to be read; shards of another save beside it are a sign"
    " that the wrong set goes up": "full:shard-foreign full:shard-second-set",
    "the job takes shards by the index's names, loaders that go by the form do not": (
        "full:shard-names"
    ),
}


@pytest.fixture
def court(
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Court:
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys)
    folder = tmp_path_factory.getbasetemp() / "court-bases"
    if not folder.exists():
        catalog_with_invented_tokenizers(folder)
    monkeypatch.setenv("PREFLIGHT_BASES", str(folder))
    return Court(preflight)


def broken(build: Callable[[str], Path], fault: str) -> tuple[Path, str]:
    """The first base that the fault applies to, and the directory."""
    try:
        directory = build(TINY_TEXT)
        FAULTS[fault].apply(directory)
    except Inapplicable:
        directory = build(TINY_VL)
        FAULTS[fault].apply(directory)
        return directory, TINY_VL
    return directory, TINY_TEXT


def is_listed(kind: str, fault: str) -> bool:
    return any(
        {fault, f"{kind}:{fault}"} & set(names.split()) for names in STRICTER.values()
    )


@pytest.mark.parametrize("fault", LORA_FAULTS)
def test_broken_adapters(fault: str, court: Court, tmp_path: Path) -> None:
    def build(base: str) -> Path:
        directory = tmp_path / base
        return build_adapter(
            directory, base=base, trainer="trl", template=TINY_TEMPLATE
        )

    directory, base = broken(build, fault)
    found = court.judge(directory, WeightType.LORA, base)
    assert not found.is_missed, found
    assert found.is_stricter is is_listed("lora", fault), found


@pytest.mark.parametrize("fault", FULL_FAULTS)
def test_broken_full_models(fault: str, court: Court, tmp_path: Path) -> None:
    def build(base: str) -> Path:
        return build_full(
            tmp_path / base, base=base, sparse=False, shard_bytes=60_000,
            template=TINY_TEMPLATE,
        )  # fmt: skip

    directory, base = broken(build, fault)
    found = court.judge(directory, WeightType.FULL, base)
    assert not found.is_missed, found
    assert found.is_stricter is is_listed("full", fault), found


@pytest.mark.parametrize("fault", sorted(set(LORA_FAULTS) - NEED_A_TEMPLATE))
def test_broken_adapters_of_a_real_base(
    fault: str, court: Court, tmp_path: Path
) -> None:
    directory = build_adapter(tmp_path / "a", base="qwen2.5-vl-7b-instruct", tiny=True)
    FAULTS[fault].apply(directory)
    found = court.judge(directory, WeightType.LORA, "qwen2.5-vl-7b-instruct")
    assert not found.is_missed, found
    assert not found.is_stricter or is_listed("lora", fault), found


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("base", [TINY_TEXT, TINY_VL, *REAL])
def test_sound_adapters(base: str, trainer: str, court: Court, tmp_path: Path) -> None:
    for rank in (8, 64):
        directory = build_adapter(
            tmp_path / str(rank),
            base=base,
            rank=rank,
            trainer=trainer,
            tiny=base in REAL,
            template=TINY_TEMPLATE,
            base_config=rank == 8,
        )
        found = court.judge(directory, WeightType.LORA, base)
        assert (found.uploads, found.reasons) == (True, ()), found


@pytest.mark.parametrize("base", [TINY_TEXT, TINY_VL, *REAL])
def test_sound_full_models(base: str, court: Court, tmp_path: Path) -> None:
    """The real ones as holes, of up to 145 GB: names, shapes and figures are right."""
    directory = build_full(
        tmp_path / base, base=base, sparse=base in REAL, template=TINY_TEMPLATE
    )
    found = court.judge(directory, WeightType.FULL, base, scan=base not in REAL)
    assert (found.uploads, found.reasons) == (True, ()), found


def test_no_reason_is_stale() -> None:
    named = {
        name.rpartition(":")[2] for names in STRICTER.values() for name in names.split()
    }
    assert named <= FAULTS.keys()
    assert all(len(reason) > 20 for reason in STRICTER)


@pytest.mark.usefixtures("court")
def test_both_know_the_same_bases() -> None:
    assert set(load_bases()) == {TINY_TEXT, TINY_VL, *REAL}
