"""Text of strangers: harmless on a terminal, whole in a document."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preflight.text import (
    Colored,
    Line,
    escaped,
    json_text,
    printable,
    render_lines,
    shortened,
)

ANY = st.text(st.characters(codec=None), max_size=40)  # lone surrogates, too


def harmless(text: str) -> bool:
    """No control, format or surrogate character but the ends of lines."""
    kinds = {unicodedata.category(char) for char in text if char != "\n"}
    return not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, é 模型 🙂", "plain, é 模型 🙂"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J\n", r"\x1b[2J\n"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202eb\u2028c\ufeff", r"a\u202eb\u2028c\ufeff"),
        ("caf\udce9", r"caf\xe9"),
    ],
)
def test_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_shortened_keeps_both_ends() -> None:
    assert shortened("a" * 500 + "z" * 500, 11) == "aaaa...zzzz"
    assert shortened("short", 11) == "short"


@given(ANY, st.integers(7, 60))
def test_printable_is_one_short_harmless_line(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()


@given(ANY)
def test_lines_are_harmless_whatever_is_in_them(text: str) -> None:
    lines: list[str | Line] = [
        text,
        Line(("at ", text)),
        Line((Colored(text, "1;31"), text)),
    ]
    shown = render_lines(lines)
    assert harmless(shown)
    assert shown.count("\n") == len(lines)


def test_colour_is_put_around_what_was_made_harmless() -> None:
    line = Line((Colored("a\x1bb", "1;31"), "\x1b"))
    assert line.render(color=True) == "\x1b[1;31ma\\x1bb\x1b[0m\\x1b"
    assert line.render() == r"a\x1bb\x1b"


@given(st.dictionaries(ANY, st.lists(ANY, max_size=3), max_size=3))
def test_documents_are_harmless_and_lose_nothing(value: dict[str, list[str]]) -> None:
    text = json_text(value)
    assert harmless(text)
    assert json.loads(text) == value
