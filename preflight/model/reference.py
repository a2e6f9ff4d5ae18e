"""The real base model, when a copy of it is at hand, to compare with exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from preflight.catalog.bases import BaseModel
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.model.configs import JsonObject, read_json_object, read_text
from preflight.model.files import walk
from preflight.model.headers import Broken, Tensor, read_container
from preflight.model.templates import Template, read_templates
from preflight.model.text import printable


@dataclass(frozen=True, slots=True)
class Reference:
    """A local copy of the base: its small files and its tensors' names and shapes."""

    origin: str
    directory: Path
    config: JsonObject | Unavailable
    tokenizer: JsonObject | Unavailable
    tokenizer_config: JsonObject | Unavailable
    templates: tuple[Template, ...]
    tensors: tuple[Tensor, ...] | Unavailable


def _read_tensors(directory: Path) -> tuple[Tensor, ...] | Unavailable:
    tensors: list[Tensor] = []
    for path in sorted(directory.glob("model*.safetensors")):
        found = read_container(path, path.name)
        if isinstance(found, Broken):
            return Unavailable(f"the base's {found.file}: {found.message}")
        tensors.extend(found.tensors)
    if not tensors:
        return Unavailable(f"no weights of the base lie in {directory}")
    return tuple(tensors)


def read_reference(directory: Path, origin: str) -> Reference:
    """Read a base model's directory; what it lacks becomes `Unavailable`."""
    files = {e.name: e for e in walk(directory).entries if e.at_top}
    names = ("config.json", "tokenizer.json", "tokenizer_config.json")
    documents = {
        name: read_json_object(directory / name, name, limit=64 << 20)
        if name in files
        else Unavailable(f"the base in {origin} has no {name}")
        for name in (*names, "chat_template.json")
    }
    return Reference(
        origin,
        directory,
        config=documents["config.json"],
        tokenizer=documents["tokenizer.json"],
        tokenizer_config=documents["tokenizer_config.json"],
        templates=read_templates(files, documents, read_text),
        tensors=_read_tensors(directory),
    )


def find_reference(
    base_dir: Path | None, base: BaseModel | Unavailable
) -> Reference | Unavailable:
    """The copy of the base to compare with: `base_dir` when it is given.

    Raises `UsageError` when `base_dir` is no directory with a `config.json`.
    """
    if base_dir is not None:
        if not (base_dir / "config.json").is_file():
            raise UsageError(
                f"no base model in {printable(str(base_dir))}: it has no config.json",
                hint="give --base-dir the directory of the base model itself",
            )
        return read_reference(base_dir, printable(str(base_dir)))
    if isinstance(base, Unavailable):
        return base
    return Unavailable(f"no local copy of {base.hub_id} was given with --base-dir")
