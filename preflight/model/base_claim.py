"""Which base model a directory says it was trained on, and which one is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from preflight.catalog.base_models import BaseModel
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.model.identity import Identity, Match, identify

# File and field in which trainers name the base, the most telling first.
# args.json is ms-swift's own record of a run; `model` in the adapter's config is mlx's.
_ADAPTER_FIELDS = (
    ("adapter_config.json", "base_model_name_or_path"),
    ("adapter_config.json", "model"),
    ("args.json", "model"),
    ("args.json", "model_id_or_path"),
)
_FULL_FIELDS = (("config.json", "_name_or_path"), *_ADAPTER_FIELDS[2:])
# Unsloth lets PEFT write the class of the base and the module that it is from.
CLASS_FIELD = "adapter_config.json: auto_mapping.base_model_class"
_LIBRARY = re.compile(r"transformers\.models\.(?P<type>\w+)\.")
_STEM = re.compile(r"(?P<stem>\w+?)For(?:CausalLM|ConditionalGeneration)")


_NOT_HERE = Unavailable(say("no directory of a base model is named"))


@dataclass(frozen=True, slots=True)
class BaseClaim:
    """What the directory says of its base; `where` names file and field.

    `model_class` is the class of the base where that is told, `model_type` its type in
    transformers' spelling. `config` is that of the base which lies at the path that is
    named, if one does on this machine.
    """

    where: str = ""
    identity: Identity | None = None
    model_class: str = ""
    model_type: str = ""
    config: JsonObject | Unavailable = _NOT_HERE

    def contradicts(self, bases: Iterable[BaseModel]) -> bool:
        """Whether a class is told that none of `bases` is of."""
        stems = {_squeezed(_stem(base.architecture)) for base in bases}
        types = {_squeezed(base.model_type) for base in bases}
        mine = _squeezed(self.model_type or _stem(self.model_class))
        return bool(mine) and mine not in types | stems


def _stem(name: str) -> str:
    match = _STEM.fullmatch(name)
    return match["stem"] if match else ""


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "")


def read_claim(
    documents: Mapping[str, JsonObject | Unavailable],
    weight_type: WeightType | Unavailable,
) -> BaseClaim:
    """The first field that names a model, else the first that says anything.

    The model card is not asked: trainers fill it from the same value, people by hand.
    """
    first = _of_class(documents.get("adapter_config.json"))
    fields = _ADAPTER_FIELDS if weight_type is WeightType.LORA else _FULL_FIELDS
    for name, field in fields:
        document = documents.get(name)
        value = document.get(field) if isinstance(document, Mapping) else None
        if not isinstance(value, str) or not value.strip():
            continue
        claim = replace(first, where=f"{name}: {field}", identity=identify(value))
        if claim.identity and claim.identity.match is not Match.CANNOT_TELL:
            return claim
        first = claim if first.identity is None else first
    return first


def _of_class(config: JsonObject | Unavailable | None) -> BaseClaim:
    mapping = config.get("auto_mapping") if isinstance(config, Mapping) else None
    if not isinstance(mapping, Mapping):
        return BaseClaim()
    told = mapping.get("base_model_class")
    library = _LIBRARY.match(str(mapping.get("parent_library")))
    if not isinstance(told, str):
        return BaseClaim()
    return BaseClaim(model_class=told, model_type=library["type"] if library else "")


_KNOWN = (Match.IMPORTABLE, Match.RELATIVE, Match.FINE_TUNE)


def named_path(claim: BaseClaim, model: Path | None = None) -> Path | None:
    """The directory that the claim gives as a path on this machine, if it exists.

    `model` is the directory that makes the claim; that itself is no base.
    """
    if claim.identity is None:
        return None
    try:
        path = Path(claim.identity.given).expanduser()
        if not path.is_absolute() or not path.is_dir():
            return None
        return None if model is not None and path.samefile(model) else path
    except (OSError, ValueError, RuntimeError):  # a null byte, too long, no such user
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
        return asked, Unavailable(
            say("{canonical} cannot be imported onto", canonical=asked.canonical)
        )
    none = Unavailable(say("no base model was given with --base-model"))
    found = claim.identity
    if found is None:
        return none, Unavailable(say("the base model is not known; give --base-model"))
    if found.match is Match.IMPORTABLE and found.base is not None:
        return none, found.base
    return none, Unavailable(
        say(
            "the base model is not known for sure ({where} says "
            "{name}); give --base-model",
            where=claim.where,
            name=found.canonical,
        )
    )
