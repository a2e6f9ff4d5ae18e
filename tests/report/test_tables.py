"""Tables: aligned, cut to the terminal, wide characters counted as two columns."""

from __future__ import annotations

from preflight.report.tables import table
from preflight.text import columns, cut
from tests.cases import case

ROWS = [
    ("job", "name", "from"),
    ("1", "模型" * 20, "oss://bucket/" + "x" * 60 + "/"),
    ("22", "é", "oss://bucket/m/"),
    ("3", "a\x1b[31mb", ""),
]


def test_wide_characters_take_two_columns() -> None:
    first, _, third, fourth = table(ROWS)
    starts = {line.index(word) for line, word in ((first, "from"), (third, "oss"))}
    assert starts == {3 + 2 + 80 + 2}
    assert r"a\x1b[31mb" in fourth


def test_a_table_is_cut_to_the_width() -> None:
    cases: list[int] = [40, 60, 80, 200]
    for width in cases:
        with case(width):
            lines = list(table(ROWS, width))
            assert max(map(columns, lines)) <= width
            assert ("..." in lines[1]) == (width < 160)
            assert lines[2].startswith("22   é")


def test_nothing_makes_no_table() -> None:
    assert list(table([])) == []


def test_cut() -> None:
    cases: list[tuple[str, int, str]] = [
        ("abc", 3, "abc"),
        ("abcd", 3, "..."),
        ("模型模型", 6, "模..."),
        ("abcdef", 5, "ab..."),
        ("abc", 0, ""),
    ]
    for text, width, shown in cases:
        with case(text, width, shown):
            assert cut(text, width) == shown
