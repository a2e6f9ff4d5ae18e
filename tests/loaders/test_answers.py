"""`preflight check` and the sandbox's job against what real loaders answered.

The answers are stored, so no loader is needed here: `make loaders` asks them about
fixtures that are new or have changed, `make test-loaders` asks about all again. Where
one of the two says other than the loaders, `differences.json` has to give the reason.
The faults are walked by `tests/sandbox/test_every_fault.py`, the good directories that
it builds by `tests/sandbox/test_against_rules.py`, the others here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loaders.agreement import ACCEPTS, REFUSES, disagreements
from tests.loaders.cases import FULL, Case, cases
from tests.loaders.confirmed import is_large
from tests.loaders.table import REFRESH, differences, is_of_new_base, stored
from tests.sandbox.court import Court
from tests.sandbox.test_against_rules import is_walked_there

SLICES = 4


def is_walked_here(case: Case) -> bool:
    good = case.name.startswith(("good/", "lora-vl/"))
    return good and not is_walked_there(case) and not is_of_new_base(case.name)


@pytest.mark.parametrize("start", range(SLICES))
def test_judges_agree_with_the_loaders(
    start: int, court: Court, tmp_path: Path
) -> None:
    told = []
    some = [case for case in cases().values() if is_walked_here(case)][start::SLICES]
    for number, case in enumerate(some):
        directory = tmp_path / f"{number}" / "model"
        directory.mkdir(parents=True)
        base = case.build(directory)
        scan = not (case.kind is FULL and is_large(directory))
        found = court.judge(directory, case.kind, base, scan=scan)
        told += disagreements(case.name, directory, found)
    assert some
    assert not told, "\n".join(told)


@pytest.mark.usefixtures("court")
def test_the_answers_are_about_the_fixtures_that_there_are() -> None:
    """What is new is told, not failed: its author needs no loader to add it.

    `make test-loaders` fails for it.
    """
    gone = sorted(stored().rows.keys() - cases().keys())
    assert not gone, f"these are no more, {REFRESH}: {gone}"
    missing = sorted(cases().keys() - stored().rows.keys())
    if missing:
        pytest.skip(f"no loader was asked about these yet, {REFRESH}: {missing}")


def test_the_table_tells_how_it_was_made() -> None:
    table = stored()
    assert table.command == REFRESH
    assert table.made
    for versions in table.environments.values():
        assert {"torch", "transformers", "peft", "safetensors"} <= versions.keys()
    names = set(table.environments)
    assert all(set(row.answers) == names for row in table.rows.values())


@pytest.mark.usefixtures("court")
def test_every_difference_has_its_reason() -> None:
    listed = [
        (judge, name)
        for one in differences()
        for judge in one.judges
        for name in one.fixtures
    ]
    assert len(listed) == len(set(listed)), "a difference has two reasons"
    assert {name for _, name in listed} <= cases().keys()
    assert {judge for judge, _ in listed} <= {"check", "sandbox"}
    assert {one.say for one in differences()} <= {ACCEPTS, REFUSES}
    assert all(len(one.reason) > 20 for one in differences())
