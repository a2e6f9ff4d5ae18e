"""Languages: how a message stays English for programs, and which language is chosen."""

from __future__ import annotations

import copy
import io
import json
import pickle
import textwrap
from collections.abc import Iterator

import pytest

from preflight.errors import UsageError
from preflight.language import (
    CHINESE,
    Message,
    can_write,
    catalogue_of,
    chosen_language,
    for_programs,
    glued,
    joined,
    localized,
    say,
    say_n,
    speaking,
)
from preflight.text import columns, printable, shortened, wrapped


class Shouting:
    """A language whose translations can be told apart."""

    def gettext(self, message: str, /) -> str:
        return f"«{message}»"

    def ngettext(self, one: str, many: str, number: int, /) -> str:
        return f"«{one if number == 1 else many}»"


@pytest.fixture(autouse=True)
def translated(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("preflight.language.catalogue_of", lambda _: Shouting())
    with speaking(CHINESE):
        yield


def test_a_message_is_its_english_text() -> None:
    told = say("rank {rank} of {name}", rank=4, name="x")
    assert told == "rank 4 of x"
    assert json.dumps({"a": told}) == '{"a": "rank 4 of x"}'
    assert told in {"rank 4 of x"}
    assert say_n("{count} file", "{count:,} files", count=1000) == "1,000 files"
    assert say_n("{count} file", "{count} files", count=1) == "1 file"


def test_people_get_it_in_their_language_and_values_as_they_are() -> None:
    assert localized(say("rank {rank}", rank=4)) == "«rank 4»"
    assert localized(say_n("{count} file", "{count} files", count=2)) == "«2 files»"
    assert localized("rank 4") == "rank 4"
    inner = say("the base")
    assert localized(say("of {what}, {value}", what=inner, value="the base")) == (
        "«of «the base», the base»"
    )


@pytest.mark.parametrize("name", ["{x}", "%s", "%(a)s", "{0}", "{rank.__class__}", "{"])
def test_no_value_is_a_template(name: str) -> None:
    told = say("{name} has rank {rank}", name=name, rank=4)
    assert told == f"{name} has rank 4"
    assert localized(told) == f"«{name} has rank 4»"
    assert localized(glued(name, ": ", told)) == f"{name}: «{name} has rank 4»"
    assert localized(say("{why}", why=told)) == f"««{name} has rank 4»»"


def test_without_values_braces_stay() -> None:
    assert say("oss://bucket/{name}-{digest}/") == "oss://bucket/{name}-{digest}/"
    assert localized(say("")) == ""


def test_it_stays_a_message_on_its_way() -> None:
    told = say("rank {rank}", rank=4)
    for same in (
        pickle.loads(pickle.dumps(told)),  # noqa: S301
        copy.deepcopy(told),
        str(told),
        str(UsageError(told)),
        shortened(told, 100),
    ):
        assert isinstance(same, Message)
        assert (same, localized(same)) == ("rank 4", "«rank 4»")
    long = shortened(say("{text}", text="a" * 90), 20)
    assert long == "aaaaaaaa...aaaaaaaa"
    assert localized(long) == "«aaaaaaa...aaaaaaa»"
    assert localized(joined(", ", [told, "x", told])) == "«rank 4», x, «rank 4»"
    assert localized(say("%(a)s of %%s") % {"a": told}) == "««rank 4» of %s»"


def test_programs_get_english_unless_a_language_was_asked_for() -> None:
    document = {"a": [say("rank {rank}", rank=4)], "b": ("x", 1), "c": None}
    english = {"a": ["rank 4"], "b": ["x", 1], "c": None}
    assert for_programs(document) == english
    assert type(for_programs(say("x"))) is str
    with speaking(CHINESE, asked=True):
        assert for_programs(document) == {**english, "a": ["«rank 4»"]}
    assert localized(say("x")) == "«x»"


def test_what_is_made_harmless_is_translated_first() -> None:
    assert printable(say("a {name}", name="\x1b[1m")) == "«a \\x1b[1m»"


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ("", "en"),
        ("LANG=zh_CN.UTF-8", "zh_CN"),
        ("LANG=zh_CN.GB18030", "zh_CN"),
        ("LANG=zh_SG.UTF-8", "zh_CN"),
        ("LANG=en_US.UTF-8", "en"),
        ("LANG=de_DE.UTF-8", "en"),
        ("LANG=zh_CN.UTF-8 LC_MESSAGES=en_GB.UTF-8", "en"),
        ("LANG=en_US.UTF-8 LC_MESSAGES=zh_CN.UTF-8", "zh_CN"),
        ("LANG=zh_CN.UTF-8 LC_ALL=C", "en"),
        ("LANG=zh_CN.UTF-8 LC_ALL=POSIX", "en"),
        # Without a locale LANGUAGE counts nothing, as for gettext.
        ("LANGUAGE=zh_CN", "en"),
        ("LANG=C.UTF-8 LANGUAGE=zh_CN", "en"),
        ("LANG=en_US.UTF-8 LANGUAGE=zh_CN:en", "zh_CN"),
        ("LANG=zh_CN.UTF-8 LANGUAGE=en:zh_CN", "en"),
        ("LANG=de_DE.UTF-8 LANGUAGE=de:fr:zh", "zh_CN"),
        # Traditional: whatever else is named goes first.
        ("LANG=zh_TW.UTF-8", "zh_CN"),
        ("LANG=zh_HK.UTF-8 LANGUAGE=zh_HK:en", "en"),
        ("PREFLIGHT_LANG=zh", "zh_CN"),
        ("PREFLIGHT_LANG=zh_CN", "zh_CN"),
        ("PREFLIGHT_LANG=zh-CN", "zh_CN"),
        ("PREFLIGHT_LANG=zh-Hans", "zh_CN"),
        ("PREFLIGHT_LANG=zh_Hans_CN LC_ALL=C", "zh_CN"),
        ("PREFLIGHT_LANG=en LANG=zh_CN.UTF-8", "en"),
        ("PREFLIGHT_LANG=fr LANG=zh_CN.UTF-8", "zh_CN"),
    ],
)
def test_the_language_is_that_of_the_environment(environ: str, language: str) -> None:
    pairs = (each.partition("=") for each in environ.split())
    assert chosen_language({name: value for name, _, value in pairs}) == language


@pytest.mark.parametrize(
    ("encoding", "fine"), [("utf-8", True), ("gbk", True), ("ascii", False)]
)
def test_a_stream_without_its_letters_stays_english(encoding: str, fine: bool) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    assert can_write(stream, CHINESE) is fine
    assert can_write(stream, "en")


def test_wide_letters_are_wrapped_by_their_columns() -> None:
    text = "秩必须是 8、16、32 或 64,请重新训练。见 `preflight explain C02` 的说明。"
    lines = wrapped(text, 20, "  修复  ", " " * 8)
    # A closing sign may stand out, and a command, which is copied, stays whole.
    assert max(columns(line) for line in lines if "`" not in line) <= 24
    assert "".join(line.strip() for line in lines).replace(" ", "") == (
        f"修复{text}".replace(" ", "")
    )
    assert not any(line.strip()[:1] in "，。、" for line in lines)  # noqa: RUF001


def test_english_is_wrapped_as_before() -> None:
    text = "a word, and others-with-hyphens that are /long/paths/of/some/kind " * 4
    for width in (20, 33, 80):
        assert wrapped(text, width, "  fix  ", "       ") == textwrap.wrap(
            text,
            width,
            initial_indent="  fix  ",
            subsequent_indent="       ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def test_the_catalogue_of_english_is_none() -> None:
    assert catalogue_of("en").gettext("x") == "x"
