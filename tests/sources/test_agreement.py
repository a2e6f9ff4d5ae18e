"""A directory and the same files in a bucket get the same report, in the same words.

What differs is the place alone: its name, and rules that are for one kind of place.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS, LORA, Family, Fault, Inapplicable
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from preflight.findings import WeightType, Where
from preflight.rules import RULES, SCAN_RULES
from preflight.sandbox import Sandbox
from tests.depth import Kinds
from tests.running import InProcess
from tests.sandbox.court import catalog_with_invented_tokenizers
from tests.sources.stored import can_be_stored, store

NAME = "one"
APPLIES = {rule.code: rule.applies for rule in RULES}
OF_ONE_PLACE = {rule.code for rule in RULES if rule.where != frozenset(Where)}
# These read values, too: they compare samples with the base's or with one another.
OF_VALUES = {rule.code for rule in SCAN_RULES} | {"K07", "K08"}


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


@pytest.fixture
def preflight(
    box: Sandbox,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    folder = tmp_path_factory.getbasetemp() / "agreement-bases"
    if not folder.exists():
        catalog_with_invented_tokenizers(folder)
    made = InProcess(tmp_path / "home", monkeypatch, capsys).use(box)
    monkeypatch.setenv("PREFLIGHT_BASES", str(folder))
    return made


# What is broken in these lies in the weights and their config: no tokenizer beside
# them, whose files would each be put there and fetched.
OF_WEIGHTS = {
    Family.NAMES,
    Family.RANK,
    Family.CONFIG,
    Family.CONTAINER,
    Family.VALUES,
}


def build(kind: WeightType, folder: Path, base: str, trainer: str = "trl-4.57") -> Path:
    if kind in LORA:
        return build_adapter(folder, base=base, trainer=trainer, template=TINY_TEMPLATE)
    return build_full(
        folder, base=base, sparse=False, shard_bytes=60_000, template=TINY_TEMPLATE
    )


def report(
    preflight: InProcess, place: object, *flags: object
) -> dict[str, dict[str, Any]]:
    """The outcome of each rule that is for any place, and the rest under ''."""
    done = preflight("check", place, "--format", "json", "-q", *flags)
    assert done.code in (0, 1, 2), done.err
    text = re.sub(rf"oss://[\w./-]*?/{NAME}/(?:([\w./-]*)/)?", _as_path, done.out)
    document = json.loads(text)
    outcomes = document.pop("outcomes")
    for passing in ("directory", "path", "started", "seconds", "counts", "error"):
        document.pop(passing, None)
    found = {each["code"]: each for each in outcomes}
    return {code: each for code, each in found.items() if code not in OF_ONE_PLACE} | {
        "": document
    }


def _as_path(url: re.Match[str]) -> str:
    return f"{NAME}/{url[1]}" if url[1] else NAME


def assert_agreement(
    preflight: InProcess, box: Sandbox, prefix: str, quick: Kinds, *flags: object
) -> None:
    """`NAME`, and the copy of it in a copy of the working directory in the bucket.

    `quick`: what rules of values said where values were left out before.
    """
    url = f"{store(box, Path(), f'{prefix}/')}{NAME}/"
    here = report(preflight, NAME, *flags)
    there = report(preflight, url, "--scan", *flags)
    assert there == here, prefix
    said = [(code, here[code]["result"]) for code in OF_VALUES & here.keys()]
    if quick.lack(said):
        assert_agreement_but_for_values(here, report(preflight, url, *flags), prefix)
        quick.had(said)


def assert_agreement_but_for_values(
    here: dict[str, dict[str, Any]], quick: dict[str, dict[str, Any]], prefix: str
) -> None:
    for decided in ("verdict", "usable", "exit_code"):
        quick[""][decided] = here[""][decided]  # values may have decided it
    unread = {code for code in here if quick[code] != here[code]}
    assert unread <= OF_VALUES, (prefix, unread)
    for code in unread:
        seen = quick[code]["result"]  # K07 fails without the values, in fewer words
        assert seen in ("skipped", here[code]["result"]), (prefix, quick[code])


def kinds_of(fault: Fault, kind: WeightType) -> set[object]:
    """The rules that tell of it, and what is damaged in which kind of weights."""
    codes = {code for code in fault.codes if kind in APPLIES[code]}
    return {*codes, (kind, fault.expected)}


def broken(fault: Fault, kind: WeightType, folder: Path) -> tuple[Path, str] | None:
    """The directory and its base; nothing where a bucket cannot hold the like."""
    trainer = "peft-0.21" if fault.family in OF_WEIGHTS else "trl-4.57"
    for base in (TINY_TEXT, TINY_VL):
        place = folder / kind.value / fault.name / base / NAME
        directory = build(kind, place, base, trainer)
        with contextlib.suppress(Inapplicable):
            fault.apply(directory)
            return (directory, base) if can_be_stored(directory) else None
    return None


# A run of all tests takes, in each family, a fault of each rule, of each kind of
# weights and of each verdict, and leaves values out once for each thing that rules of
# values say; `make fuzz` takes every fault, with and without its values.
@pytest.mark.parametrize("family", list(Family))
def test_every_fault_is_told_in_the_same_words(
    family: Family,
    preflight: InProcess,
    box: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried, quick = Kinds(), Kinds()
    for fault in (each for each in FAULTS.values() if each.family is family):
        for kind in sorted(fault.kinds):
            kinds = kinds_of(fault, kind)
            if tried.lack(kinds) and (made := broken(fault, kind, tmp_path)):
                directory, base = made
                monkeypatch.chdir(directory.parent)
                flags = () if kind in LORA else ("--base-model", base)
                prefix = f"{fault.name}-{kind.value}"
                assert_agreement(preflight, box, prefix, quick, *flags)
                tried.had(kinds)


@pytest.mark.parametrize("kind", list(WeightType))
def test_good_models_pass_in_both_places(
    kind: WeightType,
    preflight: InProcess,
    box: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = build(WeightType.FULL, tmp_path / "base", TINY_VL)
    build(kind, tmp_path / NAME, TINY_VL)
    monkeypatch.chdir(tmp_path)
    flags = ("--base-model", TINY_VL, "--base-dir", base)
    assert_agreement(preflight, box, f"good-{kind.value}", Kinds(), *flags)
