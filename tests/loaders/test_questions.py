"""Words that are the same on every machine, and what counts as dead."""

from __future__ import annotations

import pytest

from tests.loaders.judge.questions import Answer, Question, guarded, stable, verdict

QUESTION = Question("lora/one", "/tmp/12/0001", "lora", "/tmp/12/bases/tiny")  # noqa: S108


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("no file in /tmp/12/0001/x", "no file in DIR/x"),
        ("not of /tmp/12/bases/tiny", "not of BASE"),
        ("see https://example.com/a/b for more", "see URL for more"),
        ("<Thing object at 0x7f3a2b1c0d50>", "<Thing object at 0x>"),
        ("in /usr/lib/python3.11/json.py", "in PATH"),
        ("two\n\n  lines\x1b[2J", "two lines [2J"),
        ("r / alpha, 1/2", "r / alpha, 1/2"),
        ("invalid offset for tensor `a.b`: no", "invalid offset for tensor `…`: no"),
        ("x" * 200, "x" * 159 + "…"),
    ],
)
def test_what_differs_from_run_to_run_is_left_out(said: str, kept: str) -> None:
    assert stable(said, QUESTION) == kept


def test_an_error_of_a_loader_is_its_refusal() -> None:
    def fails() -> Answer:
        raise KeyError("metadata")

    assert guarded(fails, QUESTION) == ("refuses", "KeyError: 'metadata'")
    assert guarded(lambda: verdict((), QUESTION), QUESTION) == ("loads", "")
    dead = verdict(("one", "two"), QUESTION)
    assert dead == ("loads but dead", "one; two")
