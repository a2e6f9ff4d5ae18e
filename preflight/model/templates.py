"""Where a chat template can stand in a model directory, and what stands there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from preflight.findings import Unavailable
from preflight.model.configs import JsonObject
from preflight.model.files import FileEntry

Reader = Callable[[Path, str], "str | Unavailable"]

# transformers <= 4.51 writes the first, newer ones the .jinja file, processors of
# vision models chat_template.json as well (transformers, tokenization_utils_base.py).
_FIELDS = ("tokenizer_config.json", "chat_template.json", "config.json")
_JINJA = "chat_template.jinja"


@dataclass(frozen=True, slots=True)
class Template:
    """One chat template: where it stands (file, or file: field) and its text."""

    where: str
    text: str | Unavailable


def _of_field(name: str, value: object) -> Iterator[Template]:
    """A `chat_template` field: a string, or a list of named templates."""
    where = f"{name}: chat_template"
    if isinstance(value, str):
        yield Template(where, value)
    elif isinstance(value, list):
        for item in value:
            yield from _named(where, item)
    elif isinstance(value, dict):
        for key, text in value.items():
            yield Template(f"{where} ({key})", _text(text))
    elif value is not None:
        yield Template(where, Unavailable(f"{where} is not a string"))


def _named(where: str, item: object) -> Iterator[Template]:
    if isinstance(item, dict):
        name = item.get("name", "unnamed")
        # Only the default one is rendered unless a caller asks for another by name.
        if name == "default":
            yield Template(where, _text(item.get("template")))
    else:
        yield Template(where, Unavailable(f"{where} is not a list of templates"))


def _text(value: object) -> str | Unavailable:
    return value if isinstance(value, str) else Unavailable("it is not a string")


def read_templates(
    files: Mapping[str, FileEntry],
    documents: Mapping[str, JsonObject | Unavailable],
    read: Reader,
) -> tuple[Template, ...]:
    """Every chat template at the top of the directory, each with its place."""
    found: list[Template] = []
    entry = files.get(_JINJA)
    if entry is not None and entry.is_file:
        found.append(Template(_JINJA, read(entry.path, _JINJA)))
    for name in _FIELDS:
        document = documents.get(name)
        if isinstance(document, Mapping):
            found.extend(_of_field(name, document.get("chat_template")))
    return tuple(found)
