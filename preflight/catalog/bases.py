"""The base models that can be imported onto: data files, and the user's own.

One JSON file a family lies in `data/bases`. Further files of the same form are read
from `$XDG_CONFIG_HOME/preflight/bases/` (default `~/.config`), then from
`$PREFLIGHT_BASES`, a file or a directory. An entry adds a model, or replaces single
fields of the model that has its code; it inherits the `shared` fields of its family.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from preflight.catalog._entries import build_base
from preflight.catalog._fields import Fields
from preflight.catalog.base import BaseModel, TensorPattern, TensorSpec, VisionTower
from preflight.errors import ConfigurationError

__all__ = [
    "BaseModel",
    "TensorPattern",
    "TensorSpec",
    "VisionTower",
    "find_base",
    "load_bases",
]

_DATA = Path(__file__).parent / "data" / "bases"


def load_bases() -> Mapping[str, BaseModel]:
    """All base models by code, ours first, each file read once in a process.

    Raises `ConfigurationError` for a user's file that cannot be read or is malformed.
    """
    return _load((*sorted(_DATA.glob("*.json")), *_user_files()))


def find_base(code_or_hub_id: str) -> BaseModel | None:
    """The model of an API code or a hub id in any case, else `None`."""
    wanted = code_or_hub_id.strip().lower()
    for base in load_bases().values():
        if wanted in (base.code.lower(), base.hub_id.lower()):
            return base
    return None


def _user_files() -> Iterator[Path]:
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
    yield from _in_home(home / "preflight" / "bases")
    named = os.environ.get("PREFLIGHT_BASES")
    if named:
        yield from _named_files(Path(named))


def _in_home(directory: Path) -> list[Path]:
    try:
        return sorted(directory.glob("*.json"))
    except OSError:
        return []  # another user's home, as in a container with a user id of its own


def _named_files(path: Path) -> list[Path]:
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise ConfigurationError(
            f"PREFLIGHT_BASES: {path} is no file, and no directory with .json files",
            hint="name a file of base models or a directory of such, or unset it",
        )
    return files


@lru_cache(maxsize=8)
def _load(files: tuple[Path, ...]) -> Mapping[str, BaseModel]:
    families: dict[str, dict[str, Any]] = {}
    entries: dict[str, dict[str, Any]] = {}
    wheres: dict[str, str] = {}
    for file in files:
        for where, entry in _entries(file, families, entries):
            code = entry["code"].lower()
            entries[code], wheres[code] = entry, where
    bases = (build_base(entry, wheres[code]) for code, entry in entries.items())
    return MappingProxyType({base.code: base for base in bases})


def _entries(
    file: Path,
    families: dict[str, dict[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The entries of one file, each with all that it inherits."""
    document = Fields(_read(file), str(file))
    family = document.text("family")
    own = document.mapping("shared") if document.has("shared") else {}
    sources = document.mapping("sources") if document.has("sources") else {}
    date = document.text("date") if document.has("date") else "undated"
    for index, raw in enumerate(document.items("models")):
        where = f"{file}: models[{index}]"
        fields = Fields(raw, where)
        origin = fields.text("source") if fields.has("source") else str(file)
        told = "; ".join([origin, *(f"{k}: {v}" for k, v in sources.items())])
        added = {"family": family, "date": date, "source": told}
        inherited = (families.get(family, {}), known.get(_code(fields), {}))
        yield where, _merged(*inherited, own, raw, added)
    document.finish()
    families.setdefault(family, own)


def _merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers win; of `config` only the keys that they name."""
    merged: dict[str, Any] = {}
    for layer in layers:
        configs = [each["config"] for each in (merged, layer) if "config" in each]
        merged |= layer
        if len(configs) == 2 and all(isinstance(config, dict) for config in configs):
            merged["config"] = configs[0] | configs[1]
    return merged


def _code(fields: Fields) -> str:
    return fields.text("code").strip().lower()


def _read(file: Path) -> object:
    try:
        # Windows editors put a byte order mark in front.
        return json.loads(file.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{file} cannot be read as JSON: {error}",
            hint="repair or remove this file of base models",
        ) from error
