"""The tokens that the files of a tokenizer name, wherever they stand in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from preflight.findings import Problem, Unavailable
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.text import shortened

TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
ADDED_TOKENS = "added_tokens.json"
SPECIAL_TOKENS = "special_tokens_map.json"
VOCABULARY = "vocab.json"
TOKENIZER_FILES = (
    TOKENIZER,
    TOKENIZER_CONFIG,
    ADDED_TOKENS,
    SPECIAL_TOKENS,
    VOCABULARY,
)
ENTRIES = f"{TOKENIZER}: model.vocab"

Documents = Mapping[str, JsonObject | Unavailable]

_ROLES = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)
_LISTS = ("additional_special_tokens", "extra_special_tokens")
_SHOWN = 60  # characters of a token


def shown_token(value: object) -> str:
    """A token, or what stands in its place, as it may be printed."""
    return shortened(repr(value), _SHOWN)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that a file names; `number` is its id where the file gives one."""

    where: str
    text: str
    number: int | None = None


def _content(value: object) -> str | None:
    """A token as files write it: plain, or an object with its flags."""
    if isinstance(value, Mapping):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _of_tokenizer(tokenizer: JsonObject) -> Iterator[Token | Problem]:
    where = f"{TOKENIZER}: added_tokens"
    added = tokenizer.get("added_tokens")
    if added is None:
        return
    if not isinstance(added, list):
        yield Problem(where, say("is a {name}, not a list", name=type(added).__name__))
        return
    for item in added:
        text, number = _content(item), None
        if isinstance(item, Mapping):
            number = item.get("id")
        if text is None or not isinstance(number, int):
            yield Problem(
                where,
                say(
                    "an entry has no content or id: {shown_token}",
                    shown_token=shown_token(item),
                ),
            )
        else:
            yield Token(where, text, number)


def _of_decoder(document: JsonObject) -> Iterator[Token | Problem]:
    where = f"{TOKENIZER_CONFIG}: added_tokens_decoder"
    decoder = document.get("added_tokens_decoder")
    if decoder is None:
        return
    if not isinstance(decoder, Mapping):
        yield Problem(
            where, say("is a {name}, not an object", name=type(decoder).__name__)
        )
        return
    for number, value in decoder.items():
        text = _content(value)
        if text is None or not (number.isascii() and number.isdigit()):
            yield Problem(
                where,
                say(
                    "an entry is no token: {shown_token}",
                    shown_token=shown_token(number),
                ),
            )
        else:
            yield Token(where, text, int(number[:18]))


def _of_roles(name: str, document: JsonObject) -> Iterator[Token]:
    for role in _ROLES:
        text = _content(document.get(role))
        if text:
            yield Token(f"{name}: {role}", text)
    for field in _LISTS:
        listed = document.get(field)
        # transformers 4 also knew an object of name to token here.
        items = list(listed.values()) if isinstance(listed, Mapping) else listed
        for item in items if isinstance(items, list) else ():
            text = _content(item)
            if text:
                yield Token(f"{name}: {field}", text)


def _of_added(document: JsonObject) -> Iterator[Token | Problem]:
    for text, number in document.items():
        if isinstance(number, int) and not isinstance(number, bool):
            yield Token(ADDED_TOKENS, text, number)
        else:
            yield Problem(
                ADDED_TOKENS,
                say(
                    "the id of {shown_token} is no number",
                    shown_token=shown_token(text),
                ),
            )


def read_tokens(documents: Documents) -> Iterator[Token | Problem]:
    """Every token that is more than the plain vocabulary, and what is malformed."""

    def found(name: str) -> JsonObject:
        document = documents.get(name)
        return document if isinstance(document, Mapping) else {}

    yield from _of_tokenizer(found(TOKENIZER))
    yield from _of_decoder(found(TOKENIZER_CONFIG))
    yield from _of_added(found(ADDED_TOKENS))
    yield from _of_roles(SPECIAL_TOKENS, found(SPECIAL_TOKENS))
    yield from _of_roles(TOKENIZER_CONFIG, found(TOKENIZER_CONFIG))
