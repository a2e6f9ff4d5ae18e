"""Every fault of the fixtures, built once and walked once.

It changes something; `check` gives the verdict that is expected of it, by the rules
that the fault names and in its words; the sandbox's job agrees, but for what stands
in `STRICTER`; and so do the loaders, as far as they were asked, but for what stands in
`tests/loaders/differences.json`.
"""

from __future__ import annotations

import os
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


def broken(fault: Fault, folder: Path, build: Build) -> tuple[Path, str]:
    """The directory and the first base that the fault applies to."""
    for base in (TINY_TEXT, TINY_VL):
        directory = build(folder / base, base)
        before = tree(directory)
        try:
            fault.apply(directory)
        except Inapplicable:
            continue
        assert tree(directory) != before, "nothing was changed"
        return directory, base
    pytest.fail("no base that it applies to")


def judge(fault: Fault, kind: WeightType, court: Court, folder: Path) -> None:
    directory, base = broken(fault, folder, adapter if kind in LORA else full)
    if fault.name == "unreadable" and os.geteuid() == 0:
        return  # root reads everything
    found = court.judge(directory, kind, base)
    assert found.verdict == fault.expected.value, found.said
    assert "could not be decided" not in found.said
    wanted = {code for code in fault.codes if kind in APPLIES[code]}
    assert wanted <= set(found.failed), found.said
    assert fault.words in found.said
    assert found.is_missed is is_laxer(kind.value, fault.name), found
    assert found.is_stricter is is_listed(kind.value, fault.name), found
    told = disagreements(f"{kind.value}/{fault.name}", directory, found)
    assert not told, "\n".join(told)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_is_found_named_and_judged_alike(
    name: str, court: Court, tmp_path: Path
) -> None:
    fault = FAULTS[name]
    for kind in sorted(fault.kinds):
        judge(fault, kind, court, tmp_path / kind.value)
    if fault.kinds & LORA and name not in NEED_A_TEMPLATE:
        broken(fault, tmp_path / "old", old_adapter)


@pytest.mark.parametrize("family", [Family.NAMES, Family.BASE, Family.VOCABULARY])
def test_faults_of_an_adapter_of_a_real_base(
    family: Family, court: Court, tmp_path: Path
) -> None:
    base = "qwen2.5-vl-7b-instruct"
    for fault in FAULTS.values():
        if fault.family is family and fault.kinds & LORA:
            directory = build_adapter(tmp_path / fault.name, base=base, tiny=True)
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
