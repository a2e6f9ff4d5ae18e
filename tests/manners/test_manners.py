"""The same situations before ours and before ruff, twine and hf: nowhere worse."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.manners.ask import bench
from tests.manners.compared import Verdict, compared, ours, stored
from tests.manners.situations import REASONS, SITUATIONS, TOOLS
from tests.running import ROOT


def test_ours_is_nowhere_worse_without_a_reason(tmp_path: Path) -> None:
    with bench(tmp_path) as at:
        rows = compared(ours(at), stored())
    worse = [row for row in rows if row.verdict is Verdict.WORSE]
    told = [f"{row.situation} / {row.tool}: {row.told}" for row in worse]
    assert [line for row, line in zip(worse, told, strict=True) if not row.reason] == []
    # A reason for what is not worse any more is out of date.
    assert {(row.situation, row.tool) for row in worse} == set(REASONS)
    count = Counter(row.verdict for row in rows)
    assert count[Verdict.BETTER] > count[Verdict.WORSE]


def test_every_tool_was_asked_in_every_situation() -> None:
    answers = stored()
    for case in SITUATIONS:
        asked = {tool for tool in TOOLS if case.words[tool] is not None}
        assert set(answers.get(case.name, {})) == asked
        for facts in answers.get(case.name, {}).values():
            assert set(facts) == set(case.facts)


def test_the_make_targets_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert "\ntest-manners: " in makefile
    assert "\nmanners: " in makefile
