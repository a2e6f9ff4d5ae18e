"""Where a chat template can stand in a model directory, and what stands there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.model.files import FileEntry

Reader = Callable[[FileEntry], "str | Unavailable"]

# transformers <= 4.51 writes the first, newer ones the .jinja file, processors of
# vision models chat_template.json as well (transformers, tokenization_utils_base.py).
_FIELDS = ("tokenizer_config.json", "chat_template.json", "config.json")
JINJA = "chat_template.jinja"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Template:
    """One chat template: where it stands (file, or file: field) and its text.

    Only the one named `default` is rendered unless a caller asks for another.
    """

    where: str
    text: str | Unavailable
    name: str = DEFAULT


def normalised(text: str) -> str:
    """The text with Unix line ends and without line ends at its end.

    Editors, git and Windows change these; what the model is told hardly differs.
    """
    return text.replace("\r\n", "\n").rstrip("\n")


def digests(text: str) -> tuple[str, ...]:
    """SHA-256 of the text as it is, and as it was before an editor saved it."""
    plain = normalised(text)
    made = (text, plain, plain + "\n")
    # A lone surrogate cannot be encoded; nothing that has one equals a template.
    found = (hashlib.sha256(one.encode("utf-8", "replace")) for one in made)
    return tuple(one.hexdigest() for one in found)


def _of_field(name: str, value: object) -> Iterator[Template]:
    """A `chat_template` field: a string, or a list of named templates."""
    where = f"{name}: chat_template"
    if isinstance(value, str):
        yield Template(where, value)
    elif isinstance(value, list):
        for item in value:
            yield _named(where, item)
    elif isinstance(value, dict):
        for key, text in value.items():
            yield Template(where, _text(text), key)
    elif value is not None:
        yield Template(where, Unavailable(say("is not a string")))


def _named(where: str, item: object) -> Template:
    if not isinstance(item, dict):
        return Template(where, Unavailable(say("is not a list of named templates")))
    name = item.get("name")
    return Template(
        where,
        _text(item.get("template")),
        name if isinstance(name, str) else DEFAULT,
    )


def _text(value: object) -> str | Unavailable:
    return value if isinstance(value, str) else Unavailable(say("is not a string"))


def read_templates(
    files: Mapping[str, FileEntry],
    documents: Mapping[str, JsonObject | Unavailable],
    read: Reader,
) -> tuple[Template, ...]:
    """Every chat template at the top of the directory, each with its place."""
    found: list[Template] = []
    entry = files.get(JINJA)
    if entry is not None and entry.is_file:
        found.append(Template(JINJA, read(entry)))
    for name in _FIELDS:
        document = documents.get(name)
        if isinstance(document, Mapping):
            found.extend(_of_field(name, document.get("chat_template")))
    return tuple(found)
