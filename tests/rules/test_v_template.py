"""The chat template against the base's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from fixtures.tiny import TINY_TEMPLATE
from preflight.catalog import templates as catalog_templates
from preflight.catalog.base_models import BaseModel, load_bases
from preflight.findings import CannotTell, Severity, Unavailable
from preflight.model.templates import Template
from preflight.rules.v_template import (
    chat_template_is_the_default,
    full_weights_have_a_chat_template,
    one_chat_template,
)
from tests.cases import case
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


def test_another_template() -> None:
    cases: list[tuple[str | Unavailable, str]] = [
        (TEXT.replace(" m.content ", "m.content"), "not the default template of"),
        (" " + TEXT, "not the default template"),
        ("", "but empty"),
        ("{% generation %}" + TEXT, "generation marks"),
        (Unavailable("is not a string"), "cannot be read: is not a string"),
        ("\ud800", "not the default template"),
    ]
    for text, words in cases:
        with case(text, words):
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


def test_second_template_is_a_warning() -> None:
    for templates, found in list(_extras()):
        with case(templates, found):
            facts: dict[str, object] = {"templates": templates, "walk": found}
            facts |= {"candidates": (_base(),), "reference": NONE}
            levels = severities(chat_template_is_the_default, **facts)
            assert levels == [Severity.WARNING]


def test_one_chat_template() -> None:
    cases: list[tuple[tuple[str | Unavailable, ...], int]] = [
        ((), 0),
        ((TEXT,), 0),
        ((TEXT, TEXT), 0),
        ((TEXT, TEXT.replace("\n", "\r\n") + "\n"), 0),
        ((TEXT, TEXT + "x"), 1),
        ((TEXT, "x", "y"), 2),
        ((TEXT, Unavailable("is not a string")), 0),
    ]
    for texts, count in cases:
        with case(texts, count):
            templates = tuple(
                Template(f"file {n}", text) for n, text in enumerate(texts)
            )
            found = problems(one_chat_template, templates=templates)
            assert len(found) == count


def test_templates_of_other_names_do_not_disagree() -> None:
    templates = (Template("a", "x"), Template("b", "y", "tool_use"))
    assert not problems(one_chat_template, templates=templates)


def test_the_default_of_an_earlier_revision_is_the_base_s_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = TEXT.replace("m.content", "m['content']")
    entry = {
        "sha256": hashlib.sha256(earlier.encode()).hexdigest(),
        "bytes": len(earlier),
        "bases": ["qwen3-8b"],
        "until": "2025-07",
        "source": "a test",
    }
    path = tmp_path / "templates.json"
    path.write_text(json.dumps({"date": "2026-11", "templates": [entry]}))
    assert _told(earlier)
    monkeypatch.setattr(catalog_templates, "_FILE", path)
    catalog_templates._entries.cache_clear()
    try:
        assert not _told(earlier)
        assert _told(earlier + "!")
    finally:
        catalog_templates._entries.cache_clear()


def test_a_template_that_renders_alike_is_the_base_s() -> None:
    copy = reference(templates=(Template("chat_template.jinja", TEXT),))
    alike = TEXT.replace("m.content", "m['content']")
    assert not _told(alike, of=copy)
    assert _told(alike.replace("content", "role"), of=copy)
    assert _told(alike)  # without a copy of the base it cannot be told


def test_earlier_templates_are_dated_and_of_known_bases() -> None:
    (found,) = catalog_templates.earlier_templates("qwen3-8b")
    assert (found.size, found.until, found.sha256[:8]) == (4116, "2025-07", "87a2728c")
    assert "Qwen/Qwen3-8B-Base" in found.source
    assert not catalog_templates.earlier_templates("qwen3-4b-instruct-2507")
    assert found.sha256 not in base("qwen3-8b").template_sha256
    for entry in catalog_templates._entries():
        assert set(entry.bases) <= set(load_bases())


def test_full_weights_without_a_template_are_warned_of() -> None:
    check = full_weights_have_a_chat_template
    other = Template("tokenizer_config.json: chat_template", TEXT, "rag")
    for templates, config, count in (
        ((), {}, 1),
        ((other,), {}, 1),
        ((Template("chat_template.jinja", TEXT),), {}, 0),
        ((), NONE, 0),
    ):
        facts: dict[str, object] = {"templates": templates, "tokenizer_config": config}
        assert severities(check, **facts) == [Severity.WARNING] * count
