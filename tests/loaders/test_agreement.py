"""That a judge who says other than the loaders is told of, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.loaders import agreement
from tests.loaders.agreement import disagreements
from tests.loaders.cases import digest
from tests.loaders.table import Answer, Row, Table
from tests.sandbox.court import Judgement

LOADS, DEAD, REFUSES = ("loads", ""), ("loads but dead", "1 key"), ("refuses", "no")
GOOD = Judgement(uploads=True, verdict="pass", failed=(), said="", reasons=())
WARNED = replace(GOOD, verdict="warn", failed=("C12",))
BAD = replace(GOOD, uploads=False, verdict="fail", failed=("C01",), reasons=("no",))
NAME = "lora/not-a-fixture"


def row(of: str, *answers: tuple[str, str]) -> Row:
    said = {str(number): {"peft": answer} for number, answer in enumerate(answers)}
    return Row(NAME, of, said)


@pytest.mark.parametrize(
    ("answers", "found", "told"),
    [
        ([LOADS, LOADS], GOOD, []),
        ([LOADS, LOADS], WARNED, []),
        ([REFUSES, REFUSES], BAD, []),
        ([LOADS, DEAD], BAD, []),
        ([LOADS, LOADS], BAD, ["check refuses", "sandbox refuses"]),
        ([LOADS, DEAD], GOOD, ["check accepts", "sandbox accepts"]),
        ([REFUSES, LOADS], WARNED, ["check accepts", "sandbox accepts"]),
        ([REFUSES], replace(BAD, reasons=()), ["sandbox accepts"]),
        ([REFUSES], replace(BAD, reasons=None), []),  # nothing could be uploaded
        ([DEAD], replace(GOOD, reasons=("no",)), ["check accepts"]),
    ],
)
def test_a_difference_is_told_with_both_sides(
    answers: list[tuple[str, str]],
    found: Judgement,
    told: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = row(digest(tmp_path), *answers)
    table = Table("make loaders", "today", {}, {NAME: one})
    monkeypatch.setattr(agreement, "stored", lambda: table)
    lines = disagreements(NAME, tmp_path, found)
    assert [line.split(": ")[1].split(" it")[0] for line in lines] == told
    assert all(one.words() in line for line in lines)


def test_a_directory_that_has_changed_is_to_be_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = digest(tmp_path)
    table = Table("make loaders", "today", {}, {NAME: row(before, LOADS)})
    monkeypatch.setattr(agreement, "stored", lambda: table)
    assert disagreements(NAME, tmp_path, GOOD) == []
    (tmp_path / "config.json").write_text("[]")
    assert "has changed" in disagreements(NAME, tmp_path, GOOD)[0]
    assert disagreements("lora/of-nobody", tmp_path, GOOD) == []


def test_the_strictest_loader_counts() -> None:
    assert row("", LOADS, DEAD).worst is Answer.DEAD
    assert row("", REFUSES, LOADS).worst is Answer.REFUSES
    assert row("", LOADS).worst is Answer.LOADS


def test_a_digest_sees_names_contents_and_kinds(tmp_path: Path) -> None:
    seen = {digest(tmp_path)}
    (tmp_path / "a").write_text("1")
    seen.add(digest(tmp_path))
    (tmp_path / "a").write_text("2")
    seen.add(digest(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    seen.add(digest(tmp_path))
    (tmp_path / "b").unlink()
    (tmp_path / "b").symlink_to("/nonexistent")
    seen.add(digest(tmp_path))
    assert len(seen) == 5
