"""Vocabulary and chat template: both have to be the base model's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preflight.sandbox.studio.importable import BaseModel, template_digest
from preflight.sandbox.studio.store import Files, Rejected

_SPECIAL = ("additional_special_tokens", "extra_special_tokens")


def _content(token: object) -> str:
    """A token stands as a string or as an object with its `content`."""
    return str(token.get("content")) if isinstance(token, dict) else str(token)


def _pairs(name: str, value: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """(token, id) of every added token that the file lists with its id."""
    if name == "added_tokens.json":
        yield from value.items()
    decoder = value.get("added_tokens_decoder")
    if name == "tokenizer_config.json" and isinstance(decoder, dict):
        for number, token in decoder.items():
            plain = number.isdecimal() and len(number) < 10
            yield _content(token), int(number) if plain else number
    listed = value.get("added_tokens")
    if name == "tokenizer.json" and listed is not None:
        if not isinstance(listed, list):
            raise Rejected(f"{name}: added_tokens is no list")
        for token in listed:
            number = token.get("id") if isinstance(token, dict) else None
            yield _content(token), number


def _specials(name: str, value: dict[str, Any]) -> Iterator[str]:
    for field in _SPECIAL:
        listed = value.get(field) or []
        if not isinstance(listed, (list, dict)):
            raise Rejected(f"{name}: {field} is no list")
        for token in listed.values() if isinstance(listed, dict) else listed:
            yield _content(token)


def _added(files: Files, name: str, base: BaseModel) -> Iterator[str]:
    value = files.read_object(name)
    known = {t: base.vocabulary + n for n, t in enumerate(base.added_tokens)}
    for token, number in _pairs(name, value):
        if known.get(token) != number:
            yield f"{name}: added token {token!r} ({number}) is not the base model's"
    for token in _specials(name, value):
        if token not in known:
            yield f"{name}: special token {token!r} is not the base model's"


def _entries(files: Files, base: BaseModel) -> Iterator[str]:
    counts = {}
    if "vocab.json" in files:
        counts["vocab.json"] = len(files.read_object("vocab.json"))
    if "tokenizer.json" in files:
        model = files.read_object("tokenizer.json").get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) else None
        known = vocabulary if isinstance(vocabulary, dict) else {}
        counts["tokenizer.json"] = len(known)
    for name, count in counts.items():
        if count != base.vocabulary:
            yield f"{name}: {count} vocabulary entries, not {base.vocabulary}"


def check_vocabulary(files: Files, base: BaseModel) -> Iterator[str]:
    """What was added to the vocabulary or changed in it, file by file."""
    lists = ("added_tokens.json", "tokenizer_config.json", "tokenizer.json")
    for name in (*lists, "special_tokens_map.json"):
        if name in files:
            yield from _added(files, name, base)
    yield from _entries(files, base)


def _named(value: object, name: str) -> Iterator[str]:
    """A template is a string, or a list of named ones of which `default` counts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict) and entry.get("name") == "default":
                yield from _named(entry.get("template"), name)
    elif value is not None:
        raise Rejected(f"{name}: chat_template is not a string")


def templates(files: Files) -> list[tuple[str, str]]:
    """(file, template) of every place where a chat template stands."""
    found = []
    for name in ("tokenizer_config.json", "config.json", "chat_template.json"):
        if name in files:
            value = files.read_object(name).get("chat_template")
            found += [(name, text) for text in _named(value, name)]
    if "chat_template.jinja" in files:
        raw = files.read_small("chat_template.jinja")
        found.append(("chat_template.jinja", raw.decode("utf-8", "replace")))
    return found


def check_template(files: Files, base: BaseModel) -> Iterator[str]:
    """Every chat template in the directory that is not the base model's."""
    for name, text in templates(files):
        if template_digest(text) not in (base.template, *base.earlier_templates):
            yield f"{name}: the chat template is not the one of {base.name}"
