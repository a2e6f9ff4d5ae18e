"""Every fault of the fixtures, built once and walked once.

It changes something; `check` gives the verdict that is expected of it, by the rules
that the fault names and in its words; the sandbox's job agrees, but for what stands
in `STRICTER`; and so do the loaders, as far as they were asked, but for what stands in
`tests/loaders/differences.json`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS, LORA, Family, Fault, Inapplicable
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from preflight.findings import Verdict, WeightType
from preflight.rules import RULES
from tests.fixtures_builder.tree import tree
from tests.loaders.agreement import disagreements
from tests.sandbox.court import Court
from tests.sandbox.differences import is_laxer, is_listed

Build = Callable[[Path, str], Path]
NEED_A_TEMPLATE = {"template-newline", "template-crlf", "template-word"}
APPLIES = {rule.code: rule.applies for rule in RULES}
# Rules that none of these makes fail; `test_every_rule_fails` has a test of each.
OTHERS = {"B07", "D16", "D22", "K05", "K08", "S04"}


def adapter(folder: Path, base: str) -> Path:
    # Its tokenizer is one that both generations of transformers read.
    return build_adapter(folder, base=base, trainer="trl-4.57", template=TINY_TEMPLATE)


def old_adapter(folder: Path, base: str) -> Path:
    """One without a tokenizer, by a PEFT whose config is short."""
    return build_adapter(folder, base=base, rank=8, trainer="peft-0.4")


def full(folder: Path, base: str) -> Path:
    return build_full(
        folder, base=base, sparse=False, shard_bytes=60_000, template=TINY_TEMPLATE
    )


class Good:
    """Directories without a fault, each built once, and copies of them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._built: dict[tuple[Build, str], tuple[Path, dict[bytes, str]]] = {}

    def broken(self, fault: Fault, folder: Path, build: Build) -> tuple[Path, str]:
        """The directory and the first base that the fault applies to."""
        for base in (TINY_TEXT, TINY_VL):
            good, before = self._good(build, base)
            directory = shutil.copytree(good, folder / base)
            with contextlib.suppress(Inapplicable):
                fault.apply(directory)
                assert tree(directory) != before, fault.name
                return directory, base
        pytest.fail(f"no base that {fault.name} applies to")

    def _good(self, build: Build, base: str) -> tuple[Path, dict[bytes, str]]:
        if (build, base) not in self._built:
            made = build(self._folder / build.__name__ / base, base)
            self._built[build, base] = made, tree(made)
        return self._built[build, base]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    return Good(tmp_path_factory.mktemp("good"))


def judge(fault: Fault, kind: WeightType, court: Court, made: tuple[Path, str]) -> None:
    directory, base = made
    if fault.name == "unreadable" and os.geteuid() == 0:
        return  # root reads everything
    found = court.judge(directory, kind, base)
    told = f"{kind.value}/{fault.name}: {found}\n{found.said}"
    assert found.verdict == fault.expected.value, told
    assert "could not be decided" not in found.said, told
    wanted = {code for code in fault.codes if kind in APPLIES[code]}
    assert wanted <= set(found.failed), told
    assert fault.words in found.said, told
    assert found.is_missed is is_laxer(kind.value, fault.name), told
    assert found.is_stricter is is_listed(kind.value, fault.name), told
    apart = disagreements(f"{kind.value}/{fault.name}", directory, found)
    assert not apart, "\n".join(apart)


@pytest.mark.parametrize("family", list(Family))
def test_a_fault_is_found_named_and_judged_alike(
    family: Family, court: Court, good: Good, tmp_path: Path
) -> None:
    for fault in (each for each in FAULTS.values() if each.family is family):
        folder = tmp_path / fault.name
        for kind in sorted(fault.kinds):
            build = adapter if kind in LORA else full
            judge(fault, kind, court, good.broken(fault, folder / kind.value, build))
        if fault.kinds & LORA and fault.name not in NEED_A_TEMPLATE:
            good.broken(fault, folder / "old", old_adapter)


@pytest.mark.parametrize("family", [Family.NAMES, Family.BASE, Family.VOCABULARY])
def test_faults_of_an_adapter_of_a_real_base(
    family: Family, court: Court, tmp_path: Path
) -> None:
    base = "qwen2.5-vl-7b-instruct"
    good = build_adapter(tmp_path / "good", base=base, tiny=True)
    for fault in FAULTS.values():
        if fault.family is family and fault.kinds & LORA:
            directory = shutil.copytree(good, tmp_path / fault.name / "model")
            fault.apply(directory)
            found = court.judge(directory, WeightType.LORA, base)
            assert not found.is_missed, (fault.name, found)
            listed = is_listed("lora", fault.name)
            assert listed or not found.is_stricter, (fault.name, found)


def test_every_fault_says_what_it_is_and_who_tells_of_it() -> None:
    for fault in FAULTS.values():
        assert fault.about
        assert fault.kinds
        silent = fault.expected is Verdict.PASS
        assert bool(fault.codes) is not silent, fault.name
        assert fault.codes <= APPLIES.keys(), fault.name


def test_every_rule_has_a_fault_that_makes_it_fail() -> None:
    proven = {code for fault in FAULTS.values() for code in fault.codes}
    assert proven | OTHERS == APPLIES.keys()
    assert proven.isdisjoint(OTHERS)
