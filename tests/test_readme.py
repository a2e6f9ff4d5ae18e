from __future__ import annotations

import re

import pytest

from tests.readme import README, WIDTH, _wrapped, fields_table, part, rules_table


def test_the_tables_are_the_code_s_own() -> None:
    text = README.read_text("utf-8")
    assert part(text, "rules") == rules_table(), "run `make readme`"
    assert part(text, "fields") == fields_table(), "run `make readme`"


def test_the_transcripts_show_a_success_and_a_refusal() -> None:
    text = README.read_text("utf-8")
    demo = part(text, "demo").splitlines()
    assert demo[1].startswith("$ preflight push --sandbox")
    assert "\n✔ IMPORTED (sandbox)  model qwen3-8b-" in "\n".join(demo[-4:])
    assert "error K01 lora-keys-well-formed" in part(text, "broken")


def test_the_transcripts_are_not_cut_and_fit_the_page() -> None:
    text = README.read_text("utf-8")
    for name in ("demo", "broken"):
        assert max(map(len, part(text, name).splitlines())) <= WIDTH
    assert "✘ NOT READY  2 errors (K01 S10), " in part(text, "broken")


@pytest.mark.parametrize("width", [9, 40, 200])
def test_wrapping_loses_no_word(width: int) -> None:
    line = "  fix  train with a-lower/learning_rate   or less"
    wrapped = _wrapped(line, width)
    assert " ".join(" ".join(wrapped).split()) == " ".join(line.split())


def test_what_the_page_says_of_the_house_is_there() -> None:
    rows = re.findall(r"^\| (`[^|]+`) \|", README.read_text("utf-8"), re.M)
    paths = {
        path
        for row in rows
        for path in re.findall(r"`((?:preflight|fixtures|tests)/[^`]*)`", row)
    }
    assert "preflight/pipeline/" in paths
    for path in paths:
        assert (README.parent / path).exists(), path
