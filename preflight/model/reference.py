"""A copy of the real base model, to compare with exactly: what it is and holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from preflight.catalog.uploadable import is_full_weights
from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.caches import is_there
from preflight.model.configs import JsonObject, read_json_object, read_text
from preflight.model.files import FileEntry, FileKind
from preflight.model.headers import Broken, Container, read_container
from preflight.model.steady import open_regular
from preflight.model.templates import Template, read_templates
from preflight.model.vocabulary import Tokenizer, read_tokenizer

CONFIG, INDEX = "config.json", "model.safetensors.index.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json")

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class WrongReference(Unavailable):
    """What was given as the base is another model; nothing is compared with it."""


@dataclass(frozen=True)
class Reference:
    """A copy of the base: its small files, and its tensors' names and shapes.

    `origin` says in words where it is from. `containers` are the weight files at
    hand; of a base that was only asked for over the network there are none.
    """

    origin: str
    directory: Path
    config: JsonObject | Unavailable
    tokenizer_config: JsonObject | Unavailable
    templates: tuple[Template, ...]
    shapes: Shapes | Unavailable
    containers: tuple[Container, ...] | Unavailable

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """`tokenizer.json`; read when it is asked for, since that takes long."""
        path = self.directory / TOKENIZER
        if not is_there(path):
            words = say(
                "the base in {origin} has no {tokenizer}",
                origin=self.origin,
                tokenizer=TOKENIZER,
            )
            return Tokenizer(Unavailable(words))
        return read_tokenizer(open_regular(path), TOKENIZER)


def read_reference(
    directory: Path, origin: str, shapes: Shapes | None = None
) -> Reference:
    """Read a base model's directory; what it lacks becomes `Unavailable`.

    `shapes` are the tensors' when they are known from elsewhere.
    """
    files = _files(directory, (CONFIG, TOKENIZER_CONFIG, *TEMPLATE_FILES))
    documents = {
        name: read_json_object(open_regular(directory / name), name)
        if name in files
        else Unavailable(
            say("the base in {origin} has no {name}", origin=origin, name=name)
        )
        for name in (CONFIG, TOKENIZER_CONFIG, TEMPLATE_FILES[1])
    }
    containers = _containers(directory, origin)
    found = containers if shapes is None else shapes
    return Reference(
        origin,
        directory,
        config=documents[CONFIG],
        tokenizer_config=documents[TOKENIZER_CONFIG],
        templates=read_templates(files, documents, _text),
        shapes=_shapes(found) if isinstance(found, tuple) else found,
        containers=containers,
    )


def _files(directory: Path, names: tuple[str, ...]) -> dict[str, FileEntry]:
    paths = {name: directory / name for name in names}
    return {
        name: FileEntry(name, path, FileKind.FILE)
        for name, path in paths.items()
        if is_there(path)
    }


def _text(entry: FileEntry) -> str | Unavailable:
    return read_text(open_regular(entry.path), entry.name)


def _shapes(containers: tuple[Container, ...]) -> Shapes:
    return {t.name: t.shape for c in containers for t in c.tensors}


def _containers(directory: Path, origin: str) -> tuple[Container, ...] | Unavailable:
    """All weight files of the base, if none is missing or broken."""
    found: list[Container] = []
    for path in sorted(directory.glob("model*.safetensors")):
        if not is_full_weights(path.name):
            continue
        container = read_container(open_regular(path), path.name)
        if isinstance(container, Container):
            found.append(container)
            continue
        cause = container.message if isinstance(container, Broken) else container.reason
        told = say("the base's {file}: {cause}", file=container.file, cause=cause)
        return Unavailable(told)
    missing = _listed(directory) - {container.file for container in found}
    if missing or not found:
        told = say("the base in {origin} has no weights", origin=origin)
        if missing:
            name = min(missing)
            told = say("the base in {origin} lacks {name}", origin=origin, name=name)
        return Unavailable(told)
    return tuple(found)


def _listed(directory: Path) -> set[str]:
    """The files that the base's index names, if it has one."""
    if not is_there(directory / INDEX):
        return set()
    index = read_json_object(open_regular(directory / INDEX), INDEX)
    mapped = index.get("weight_map") if isinstance(index, Mapping) else None
    return set(map(str, mapped.values())) if isinstance(mapped, Mapping) else set()
