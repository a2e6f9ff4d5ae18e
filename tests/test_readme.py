from __future__ import annotations

import re
from collections import Counter

import pytest

from preflight.language import speaking
from preflight.text import columns
from tests.readme import (
    IN_CHINESE,
    PAGES,
    README,
    WIDTH,
    _wrapped,
    fields_table,
    part,
    rules_table,
)
from tests.speed import speed_tables


@pytest.mark.parametrize("language", PAGES)
def test_the_tables_are_the_code_s_own(language: str) -> None:
    text = PAGES[language].read_text("utf-8")
    with speaking(language):
        assert part(text, "rules") == rules_table(), "run `make readme`"
        assert part(text, "fields") == fields_table(), "run `make readme`"
        assert part(text, "speed") == speed_tables(), "run `make readme`"


def test_the_transcripts_show_a_success_and_a_refusal() -> None:
    text = README.read_text("utf-8")
    demo = part(text, "demo").splitlines()
    assert demo[1].startswith("$ preflight push --sandbox")
    assert "\n✔ IMPORTED (sandbox)  model qwen3-8b-" in "\n".join(demo[-4:])
    assert "error K01 lora-keys-well-formed" in part(text, "broken")


def test_the_transcripts_are_not_cut_and_fit_the_page() -> None:
    for page in PAGES.values():
        text = page.read_text("utf-8")
        for name in ("demo", "broken"):
            assert max(map(columns, part(text, name).splitlines())) <= WIDTH
    assert "✘ NOT READY  2 errors (K01 S10), " in part(README.read_text(), "broken")


def test_the_chinese_transcripts_are_of_the_same_commands() -> None:
    text = IN_CHINESE.read_text("utf-8")
    assert "\n✔ 已导入\uff08沙箱\uff09  模型 qwen3-8b-" in part(text, "demo")
    assert "\n错误 K01 lora-keys-well-formed\n" in part(text, "broken")


# The page in Chinese says what the English one says, in the same order


def _pages() -> tuple[str, str]:
    english, chinese = README.read_text("utf-8"), IN_CHINESE.read_text("utf-8")
    assert f"]({IN_CHINESE.name})" in english
    assert f"]({README.name})" in chinese
    return english, chinese


_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_WRITTEN = ("demo", "broken", "rules", "fields", "clients", "speed")  # by programs


def _shape(text: str) -> list[str]:
    """Of each block what its lines are: headings, rows, code; text is one for all."""
    found: list[str] = []
    for block in re.split(r"\n\n+", _FENCE.sub("~~~", text)):
        for line in block.splitlines():
            start = re.match(r"#+ |\||<|~~~| {4}", line)
            kind = start[0] if start else "text"
            if kind != "text" or found[-1:] != ["text"]:
                found.append(kind)
        found.append("")
    return found


def test_both_pages_have_the_same_shape() -> None:
    english, chinese = map(_shape, _pages())
    assert chinese == english, "what README.md says belongs into README.zh-CN.md, too"


def _in_code(text: str) -> Counter[str]:
    """What stands in backquotes, and how often."""
    for name in _WRITTEN:
        text = text.replace(part(text, name), "")
    spans = re.findall(r"`([^`]+)`", _FENCE.sub("", text))
    return Counter(" ".join(span.split()) for span in spans)


def test_both_pages_name_the_same_in_code() -> None:
    english, chinese = _pages()
    assert _in_code(english) - _in_code(chinese) == {}
    assert _in_code(chinese) - _in_code(english) == {}
    for fence in _FENCE.findall(english):
        assert fence in chinese or fence.startswith("```console")
    for line in re.findall(r"^    \S.*$", _FENCE.sub("", english), re.MULTILINE):
        assert line.partition("  #")[0] in chinese
    links = [re.findall(r"\]\(docs/.*?\)", text) for text in (english, chinese)]
    assert links[0] == links[1]


def test_both_pages_have_tables_of_the_same() -> None:
    cell = re.compile(r"^\| ((?:`[^`]*`[,/ ]*)+|\d[\d, ]*) \|", re.MULTILINE)
    english, chinese = map(cell.findall, _pages())
    assert chinese == english


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
