"""The chat template against the base's own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from fixtures.tiny import TINY_TEMPLATE
from preflight.catalog.bases import BaseModel
from preflight.findings import CannotTell, Severity, Unavailable
from preflight.model.templates import Template
from preflight.rules.v_template import chat_template_is_the_default, one_chat_template
from tests.rules.inputs import base, problems, severities, told, walk
from tests.rules.inputs_full import NONE, reference

TEXT = "{% for m in messages %}\n{{ m.content }}\n{% endfor %}\n"


def _base(text: str = TEXT, code: str = "qwen3-8b") -> BaseModel:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(base(code), template_sha256=(digest,))


def _told(*texts: str | Unavailable, of: object = NONE, text: str = TEXT) -> str:
    templates = tuple(Template("chat_template.jinja", t) for t in texts)
    return told(
        chat_template_is_the_default,
        templates=templates,
        walk=walk(),
        candidates=(_base(text),),
        reference=of,
    )


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        TEXT.rstrip("\n"),
        TEXT + "\n",
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r\n").rstrip() + "\r\n",
    ],
)
@pytest.mark.parametrize("default", [TEXT, TEXT.rstrip("\n")])
def test_line_ends_are_not_judged(text: str, default: str) -> None:
    assert not _told(text, text=default)


def test_no_template_is_none_that_is_wrong() -> None:
    assert not _told()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace(" m.content ", "m.content"), "not the default template of"),
        (" " + TEXT, "not the default template"),
        ("", "but empty"),
        ("{% generation %}" + TEXT, "generation marks"),
        (Unavailable("is not a string"), "cannot be read: is not a string"),
        ("\ud800", "not the default template"),
    ],
)
def test_another_template(text: str | Unavailable, words: str) -> None:
    assert words in _told(text)


def test_the_template_of_another_base_is_named(tiny_bases: None) -> None:
    del tiny_bases
    assert "but that of tiny-" in _told(TINY_TEMPLATE)


def _copy(text: str) -> object:
    return reference(templates=(Template("chat_template.jinja", text),))


def test_difference_is_shown_where_a_copy_is_at_hand() -> None:
    found = _told(TEXT.replace("content", "text\x1b[2J"), of=_copy(TEXT))
    assert "\n    @@ -2 +2 @@\n    -{{ m.content }}\n    +{{ m.text\x1b[2J }}" in found


def test_difference_is_cut_short() -> None:
    text = "\n".join(map(str, range(400)))
    lines = _told(text, of=_copy(TEXT)).splitlines()
    assert len(lines) == 13
    assert "more lines" in lines[-1]
    assert "400,000 characters" in _told("x" * 400_000, of=_copy(TEXT))


def test_the_copys_own_template_passes_too() -> None:
    """An older revision on the hub may have had another one than the catalog's."""
    assert not _told("older\n", of=_copy("older"))


def test_candidates() -> None:
    def answers(text: str, *candidates: BaseModel) -> list[type]:
        found = chat_template_is_the_default.check(
            templates=(Template("chat_template.jinja", text),),
            walk=walk(),
            candidates=candidates,
            reference=NONE,
        )
        return [type(answer) for answer in found]

    other = _base("other", "qwen3-14b")
    assert answers(TEXT) == [CannotTell]
    assert answers(TEXT, _base(), other) == [CannotTell]
    assert answers(TEXT, _base(), _base()) == []
    assert answers("none of them", _base(), other) != [CannotTell]


def _extras() -> Iterator[tuple[tuple[Template, ...], object]]:
    named = Template("tokenizer_config.json: chat_template", "x", "tool_use")
    yield (named,), walk()
    yield (), walk("additional_chat_templates/tool_use.jinja")


@pytest.mark.parametrize(("templates", "found"), list(_extras()))
def test_second_template_is_a_warning(
    templates: tuple[Template, ...], found: object
) -> None:
    facts: dict[str, object] = {"templates": templates, "walk": found}
    facts |= {"candidates": (_base(),), "reference": NONE}
    levels = severities(chat_template_is_the_default, **facts)
    assert levels == [Severity.WARNING]


@pytest.mark.parametrize(
    ("texts", "count"),
    [
        ((), 0),
        ((TEXT,), 0),
        ((TEXT, TEXT), 0),
        ((TEXT, TEXT.replace("\n", "\r\n") + "\n"), 0),
        ((TEXT, TEXT + "x"), 1),
        ((TEXT, "x", "y"), 2),
        ((TEXT, Unavailable("is not a string")), 0),
    ],
)
def test_one_chat_template(texts: tuple[str | Unavailable, ...], count: int) -> None:
    templates = tuple(Template(f"file {n}", text) for n, text in enumerate(texts))
    found = problems(one_chat_template, templates=templates)
    assert len(found) == count


def test_templates_of_other_names_do_not_disagree() -> None:
    templates = (Template("a", "x"), Template("b", "y", "tool_use"))
    assert not problems(one_chat_template, templates=templates)
