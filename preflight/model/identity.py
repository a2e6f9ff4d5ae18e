"""Which base model a directory says it was trained on, and which one is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from preflight.catalog.bases import BaseModel
from preflight.catalog.identity import Identity, Match, identify
from preflight.findings import Unavailable, WeightType
from preflight.model.configs import JsonObject, read_text
from preflight.model.files import FileEntry

# File and field in which trainers name the base, the most telling first.
# args.json is ms-swift's own record of a run.
_ADAPTER_FIELDS = (
    ("adapter_config.json", "base_model_name_or_path"),
    ("args.json", "model"),
    ("args.json", "model_id_or_path"),
)
_FULL_FIELDS = (("config.json", "_name_or_path"), *_ADAPTER_FIELDS[1:])
_CARD, _ARGUMENTS = "README.md", "training_args.yaml"  # the latter LLaMA-Factory's
# Of YAML just what these two are written with: a plain or quoted word, or the first
# item of a list.
_VALUE = r":[ \t]*(?:\n[ \t]*-[ \t]*)?([\"']?)([^\s\"'#\[\]{}]+)\1[ \t]*$"
_CARD_FIELD = re.compile("^base_model" + _VALUE, re.MULTILINE)
_ARGUMENT = re.compile("^model_name_or_path" + _VALUE, re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---", re.DOTALL | re.MULTILINE)
_TEXT_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class BaseClaim:
    """What the directory says of its base; `where` names file and field."""

    where: str = ""
    identity: Identity | None = None


def read_claim(
    documents: Mapping[str, JsonObject | Unavailable],
    weight_type: WeightType | Unavailable,
    files: Mapping[str, FileEntry] | None = None,
) -> BaseClaim:
    """The first field that names a known model, else the first that names any.

    The model card and LLaMA-Factory's arguments are looked at where the JSON files
    name no known model.
    """
    first = BaseClaim()
    for where, value in _names(documents, weight_type, files or {}):
        claim = BaseClaim(where, identify(value))
        if claim.identity and claim.identity.match in _KNOWN:
            return claim
        first = claim if first.identity is None else first
    return first


_KNOWN = (Match.IMPORTABLE, Match.RELATIVE)


def _names(
    documents: Mapping[str, JsonObject | Unavailable],
    weight_type: WeightType | Unavailable,
    files: Mapping[str, FileEntry],
) -> Iterator[tuple[str, str]]:
    fields = _ADAPTER_FIELDS if weight_type is WeightType.LORA else _FULL_FIELDS
    for name, field in fields:
        document = documents.get(name)
        value = document.get(field) if isinstance(document, Mapping) else None
        if isinstance(value, str) and value.strip():
            yield f"{name}: {field}", value
    text = _text(files.get(_ARGUMENTS))
    if found := _ARGUMENT.search(text):
        yield f"{_ARGUMENTS}: model_name_or_path", found[2]
    card = _FRONT_MATTER.match(_text(files.get(_CARD)).replace("\r\n", "\n"))
    if card and (found := _CARD_FIELD.search(card[1])):
        yield f"{_CARD}: base_model", found[2]


def _text(entry: FileEntry | None) -> str:
    if entry is None or not entry.is_file or entry.size > _TEXT_LIMIT:
        return ""
    text = read_text(entry.path, entry.name, _TEXT_LIMIT)
    return "" if isinstance(text, Unavailable) else text


def named_path(claim: BaseClaim) -> Path | None:
    """The directory that the claim gives as a path on this machine, if it exists."""
    found = claim.identity
    if found is None or found.match in (Match.RELATIVE, Match.UNKNOWN):
        return None
    path = Path(found.given)
    try:
        return path if path.is_absolute() and path.is_dir() else None
    except (OSError, ValueError):  # a null byte, a name that is too long
        return None


def named_by(directory: Path | None, claim: BaseClaim) -> str | None:
    """The base's name as its own directory tells it, where the model tells none."""
    if directory is None:
        return None
    if claim.identity is not None and claim.identity.match in _KNOWN:
        return None
    found = identify(str(directory.absolute()))
    known = found.match is Match.IMPORTABLE and not found.quantised
    return found.canonical if known else None


def choose_base(
    requested: str | None, claim: BaseClaim
) -> tuple[Identity | Unavailable, BaseModel | Unavailable]:
    """The base that was asked for, and the one to compare with.

    Without a request the directory's own word counts, if it can be imported onto.
    """
    if requested is not None:
        asked = identify(requested)
        if asked.match is Match.IMPORTABLE and asked.base is not None:
            return asked, asked.base
        return asked, Unavailable(f"{asked.canonical} cannot be imported onto")
    none = Unavailable("no base model was given with --base-model")
    found = claim.identity
    if found is None:
        return none, Unavailable("the base model is not known; give --base-model")
    if found.match is Match.IMPORTABLE and found.base is not None:
        return none, found.base
    return none, Unavailable(
        f"the base model is not known for sure ({claim.where} says {found.canonical}); "
        "give --base-model"
    )
