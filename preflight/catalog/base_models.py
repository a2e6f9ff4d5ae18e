"""The base models that can be imported onto: data files, and the user's own.

One JSON file a family lies in `data/bases`. Further files of the same form are read
from `$XDG_CONFIG_HOME/preflight/bases/` (default `~/.config`), then from
`$PREFLIGHT_BASES`, a file or a directory. An entry adds a model, or replaces single
fields of the model that has its code; it inherits the `shared` fields of its family.
The fields are those of `BaseModel`. A mixture of experts says how many there are and
how wide, and names the tensors of all at once:

    "counters": {"expert": 128}, "sizes": {"expert_intermediate": 768},
    "tensors": {
      "model.layers.{layer}.mlp.gate.weight": "{expert} hidden",
      "model.layers.{layer}.mlp.experts.{expert}.up_proj.weight":
        "expert_intermediate hidden", ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from preflight.catalog._decode import decode, read_json
from preflight.catalog.base import (
    BaseModel,
    Linear,
    TensorPattern,
    TensorSpec,
    Text,
    VisionTower,
)
from preflight.directories import config_directory
from preflight.errors import ConfigurationError
from preflight.language import say

__all__ = [
    "BaseModel",
    "Linear",
    "TensorPattern",
    "TensorSpec",
    "VisionTower",
    "find_base",
    "load_bases",
]

_DATA = Path(__file__).parent / "data" / "bases"


class _Family(Struct, forbid_unknown_fields=True):
    """One file: its models, and the fields that they share."""

    family: Text
    models: list[dict[str, Any]]
    date: Text = "undated"
    sources: dict[str, Text] = {}
    shared: dict[str, Any] = {}


class _Named(Struct):
    """What an entry says of itself before it has inherited the rest."""

    code: Text
    source: Text | None = None


def load_bases() -> Mapping[str, BaseModel]:
    """All base models by code, ours first, each file read once in a process.

    Raises `ConfigurationError` for a user's file that cannot be read or is malformed.
    """
    return _load((*_our_files(), *_user_files()))


def find_base(code_or_hub_id: str) -> BaseModel | None:
    """The model of an API code or a hub id in any case, else `None`."""
    wanted = code_or_hub_id.strip().lower()
    for base in load_bases().values():
        if wanted in (base.code.lower(), base.hub_id.lower()):
            return base
    return None


@lru_cache(maxsize=1)
def _our_files() -> tuple[str, ...]:
    return tuple(_documents(_DATA))


def _documents(directory: Path) -> list[str]:
    """The paths of its .json files; as text, for they are compared at every look."""
    return sorted(map(str, directory.glob("*.json")))


def _user_files() -> Iterator[str]:
    config = config_directory()
    if isinstance(config, Path):
        yield from _in_home(config / "bases")
    named = os.environ.get("PREFLIGHT_BASES")
    if named:
        yield from _named_files(Path(named))


def _in_home(directory: Path) -> list[str]:
    try:
        return _documents(directory)
    except OSError:
        return []  # another user's home, as in a container with a user id of its own


def _named_files(path: Path) -> list[str]:
    files = _documents(path) if path.is_dir() else [str(path)]
    if not files or not Path(files[0]).is_file():
        raise ConfigurationError(
            say(
                "PREFLIGHT_BASES: {path} is no file, and no directory with .json files",
                path=path,
            ),
            hint=say("name a file of base models or a directory of such, or unset it"),
        )
    return files


@lru_cache(maxsize=8)
def _load(files: tuple[str, ...]) -> Mapping[str, BaseModel]:
    families: dict[str, dict[str, Any]] = {}
    entries: dict[str, dict[str, Any]] = {}
    wheres: dict[str, str] = {}
    for file in map(Path, files):
        document = decode(_Family, read_json(file), str(file))
        for where, code, entry in _entries(file, document, families, entries):
            entries[code], wheres[code] = entry, where
        families.setdefault(document.family, document.shared)
    bases = (decode(BaseModel, entries[code], wheres[code]) for code in entries)
    return MappingProxyType({base.code: base for base in bases})


def _entries(
    file: Path,
    document: _Family,
    families: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The entries of one file: where, code, and all fields with the inherited ones."""
    for index, raw in enumerate(document.models):
        where = say("{file}: models[{index}]", file=file, index=index)
        named = decode(_Named, raw, where)
        sources = [f"{what}: {source}" for what, source in document.sources.items()]
        added = {
            "family": document.family,
            "date": document.date,
            "source": "; ".join([named.source or str(file), *sources]),
        }
        code = named.code.strip().lower()
        inherited = (families.get(document.family, {}), known.get(code, {}))
        yield where, code, _merged(*inherited, document.shared, raw, added)


def _merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers win; of `config` only the keys that they name."""
    merged: dict[str, Any] = {}
    for layer in layers:
        configs = [each["config"] for each in (merged, layer) if "config" in each]
        merged |= layer
        if len(configs) == 2 and all(isinstance(config, dict) for config in configs):
            merged["config"] = configs[0] | configs[1]
    return merged
