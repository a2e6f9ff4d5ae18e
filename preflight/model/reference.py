"""The real base model, when a copy of it is at hand, to compare with exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from preflight.catalog.bases import BaseModel
from preflight.catalog.identity import Match, identify
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.model.caches import cached_copies, is_there
from preflight.model.configs import JsonObject, read_json_object, read_text
from preflight.model.figures import resembles, structure_differences
from preflight.model.files import FileEntry, FileKind
from preflight.model.headers import Broken, Container, read_container
from preflight.model.templates import Template, read_templates
from preflight.model.text import printable

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
    def tokenizer(self) -> JsonObject | Unavailable:
        """`tokenizer.json`; read when it is asked for, since that takes long."""
        path = self.directory / TOKENIZER
        if not is_there(path):
            return Unavailable(f"the base in {self.origin} has no {TOKENIZER}")
        return read_json_object(path, TOKENIZER, limit=64 << 20)


def read_reference(
    directory: Path, origin: str, shapes: Shapes | None = None
) -> Reference:
    """Read a base model's directory; what it lacks becomes `Unavailable`.

    `shapes` are the tensors' when they are known from elsewhere.
    """
    files = _files(directory, (CONFIG, TOKENIZER_CONFIG, *TEMPLATE_FILES))
    documents = {
        name: read_json_object(directory / name, name)
        if name in files
        else Unavailable(f"the base in {origin} has no {name}")
        for name in (CONFIG, TOKENIZER_CONFIG, TEMPLATE_FILES[1])
    }
    containers = _containers(directory, origin)
    found = containers if shapes is None else shapes
    return Reference(
        origin,
        directory,
        config=documents[CONFIG],
        tokenizer_config=documents[TOKENIZER_CONFIG],
        templates=read_templates(files, documents, read_text),
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


def _shapes(containers: tuple[Container, ...]) -> Shapes:
    return {t.name: t.shape for c in containers for t in c.tensors}


def _containers(directory: Path, origin: str) -> tuple[Container, ...] | Unavailable:
    """All weight files of the base, if none is missing or broken."""
    found: list[Container] = []
    for path in sorted(directory.glob("model*.safetensors")):
        container = read_container(path, path.name)
        if isinstance(container, Broken):
            return Unavailable(f"the base's {container.file}: {container.message}")
        found.append(container)
    missing = _listed(directory) - {container.file for container in found}
    if missing or not found:
        what = f"lacks {printable(min(missing))}" if missing else "has no weights"
        return Unavailable(f"the base in {origin} {what}")
    return tuple(found)


def _listed(directory: Path) -> set[str]:
    """The files that the base's index names, if it has one."""
    if not is_there(directory / INDEX):
        return set()
    index = read_json_object(directory / INDEX, INDEX)
    mapped = index.get("weight_map") if isinstance(index, Mapping) else None
    return set(map(str, mapped.values())) if isinstance(mapped, Mapping) else set()


def find_reference(
    base_dir: Path | None,
    base: BaseModel | Unavailable,
    *,
    named: Path | None = None,
    from_hub: bool = False,
) -> Reference | Unavailable:
    """The copy of the base to compare with; the network is asked last, if at all.

    `base_dir` alone when it is given, else the local path that the model's own files
    name, else the caches of Hugging Face and ModelScope, else with `from_hub` the
    hub. Raises `UsageError` when `base_dir` is no directory with a `config.json`.
    """
    if base_dir is not None:
        return _given(base_dir, base)
    if isinstance(base, Unavailable):
        return base
    for directory, origin in _at_hand(base, named):
        found = read_reference(directory, origin)
        if isinstance(found.config, Unavailable) or resembles(found.config, base):
            return found
    if from_hub:
        from preflight.model.hub import fetch_reference

        return fetch_reference(base)
    return Unavailable(f"there is no local copy of {base.hub_id} to compare with")


def _at_hand(base: BaseModel, named: Path | None) -> Iterator[tuple[Path, str]]:
    if named is not None and is_there(named / CONFIG):
        yield named, printable(str(named))
    for copy in cached_copies(base.hub_id):
        yield copy.directory, copy.origin


def _given(base_dir: Path, base: BaseModel | Unavailable) -> Reference | Unavailable:
    shown = printable(str(base_dir))
    if not is_there(base_dir / CONFIG):
        raise UsageError(
            f"no base model in {shown}: it has no {CONFIG}",
            hint="give --base-dir the directory of the base model itself",
        )
    found = read_reference(base_dir, shown)
    if isinstance(base, Unavailable):
        return found
    wrong = _another(found, base)
    return WrongReference(f"{shown} {wrong}") if wrong else found


def _another(found: Reference, base: BaseModel) -> str:
    """Why what was read is not `base`; empty when it may be."""
    if isinstance(found.config, Unavailable):
        return f"cannot be used: {found.config.reason}"
    if found.config.get("quantization_config"):
        return f"is a quantised model, not {base.hub_id}"
    kind = found.config.get("model_type")
    if kind != base.model_type:
        told = printable(str(kind), 60)
        return f"is of the type {told}, {base.code} is {base.model_type}"
    for field, (mine, wanted) in structure_differences(found.config, base).items():
        told = printable(repr(mine), 60)
        return f"is not {base.hub_id}: its {field} is {told}, not {wanted}"
    named = identify(str(found.directory.absolute()))
    if named.match is Match.RELATIVE and not named.quantised:
        return f"is by its name {named.canonical}, not {base.hub_id}"
    return ""
