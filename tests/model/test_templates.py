"""Where chat templates stand, and when two of them are the same."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from preflight.findings import Unavailable
from preflight.model.configs import read_text
from preflight.model.files import walk
from preflight.model.source import LocalDirectory
from preflight.model.templates import Template, digests, normalised, read_templates
from tests.cases import case

FIELD = "tokenizer_config.json: chat_template"


def _read(documents: dict[str, Any], directory: Path) -> tuple[Template, ...]:
    files = {entry.name: entry for entry in walk(directory).entries}
    source = LocalDirectory(directory)
    return read_templates(
        files, documents, lambda entry: read_text(source.open(entry), entry.name)
    )


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("x", [(FIELD, "x", "default")]),
        ("", [(FIELD, "", "default")]),
        (None, []),
        ([{"name": "default", "template": "x"}], [(FIELD, "x", "default")]),
        ([{"name": "rag", "template": "x"}], [(FIELD, "x", "rag")]),
        ({"default": "x", "rag": "y"}, [(FIELD, "x", "default"), (FIELD, "y", "rag")]),
        ([], []),
    ],
)
def test_field(
    value: object, found: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    templates = _read({"tokenizer_config.json": {"chat_template": value}}, tmp_path)
    assert [(t.where, t.text, t.name) for t in templates] == found


@pytest.mark.parametrize(
    "value", [7, True, ["x"], [{"name": "default"}], [{"template": 7}], {"default": 1}]
)
def test_field_that_is_no_template(value: object, tmp_path: Path) -> None:
    (found,) = _read({"config.json": {"chat_template": value}}, tmp_path)
    assert isinstance(found.text, Unavailable)
    assert found.name == "default"


def test_all_places_in_the_order_in_which_loaders_look(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"j\r\n")
    names = ("config.json", "chat_template.json", "tokenizer_config.json")
    documents: dict[str, Any] = {name: {"chat_template": name} for name in names}
    documents["other.json"] = {"chat_template": "never"}
    found = _read(documents, tmp_path)
    assert [t.where.partition(":")[0] for t in found] == [
        "chat_template.jinja",
        "tokenizer_config.json",
        "chat_template.json",
        "config.json",
    ]
    assert found[0].text == "j\r\n"


def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    (found,) = _read({"config.json": Unavailable("no JSON")}, tmp_path)
    assert isinstance(found.text, Unavailable)


def test_digests_bear_line_ends() -> None:
    cases: list[str] = ["a\nb", "a\nb\n", "a\r\nb\r\n", "a\nb\n\n"]
    for text in cases:
        with case(text):
            for original in ("a\nb", "a\nb\n"):
                assert hashlib.sha256(original.encode()).hexdigest() in digests(text)
            assert normalised(text) == "a\nb"


def test_digest_of_other_text_is_another() -> None:
    assert not set(digests("a\nb")) & set(digests("a\n b"))
    assert digests("\ud800")
