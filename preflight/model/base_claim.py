"""Which base model a directory says it was trained on, and which one is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from preflight.catalog.bases import BaseModel
from preflight.catalog.identity import Identity, Match, identify
from preflight.findings import Unavailable, WeightType
from preflight.model.configs import JsonObject

# File and field in which trainers name the base, the most telling first.
# args.json is ms-swift's own record of a run.
_ADAPTER_FIELDS = (
    ("adapter_config.json", "base_model_name_or_path"),
    ("args.json", "model"),
    ("args.json", "model_id_or_path"),
)
_FULL_FIELDS = (("config.json", "_name_or_path"), *_ADAPTER_FIELDS[1:])


@dataclass(frozen=True, slots=True)
class BaseClaim:
    """What the directory says of its base; `where` names file and field."""

    where: str = ""
    identity: Identity | None = None


def read_claim(
    documents: Mapping[str, JsonObject | Unavailable],
    weight_type: WeightType | Unavailable,
) -> BaseClaim:
    """The first field that names a model, else the first that says anything.

    The model card is not asked: trainers fill it from the same value, people by hand.
    """
    first = BaseClaim()
    fields = _ADAPTER_FIELDS if weight_type is WeightType.LORA else _FULL_FIELDS
    for name, field in fields:
        document = documents.get(name)
        value = document.get(field) if isinstance(document, Mapping) else None
        if not isinstance(value, str) or not value.strip():
            continue
        claim = BaseClaim(f"{name}: {field}", identify(value))
        if claim.identity and claim.identity.match is not Match.CANNOT_TELL:
            return claim
        first = claim if first.identity is None else first
    return first


_KNOWN = (Match.IMPORTABLE, Match.RELATIVE)


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
