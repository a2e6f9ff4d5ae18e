"""The base that a model is judged against: asked for, named, or told by its shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from preflight.catalog.base_models import BaseModel
from preflight.findings import Unavailable, WeightType
from preflight.model.base_claim import (
    BaseClaim,
    choose_base,
    named_by,
    named_path,
    read_claim,
)
from preflight.model.base_lookup import config_at, find_reference
from preflight.model.configs import JsonObject, read_json_object
from preflight.model.guess import guess_bases
from preflight.model.headers import Tensor
from preflight.model.identity import Identity
from preflight.model.location import Location
from preflight.model.lora import LoraView
from preflight.model.reference import Reference
from preflight.model.steady import open_regular


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked to be checked, beside the directory itself."""

    weight_type: WeightType | None = None
    base_model: str | None = None
    base_dir: Path | None = None
    base_from_hub: bool = False


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What tells the base."""

    documents: Mapping[str, JsonObject | Unavailable]
    weight_type: WeightType | Unavailable
    config: JsonObject | Unavailable
    tensors: tuple[Tensor, ...] | Unavailable
    lora: LoraView | Unavailable


@dataclass(frozen=True, slots=True)
class Bases:
    """The fields of an inspection that are about the base."""

    claim: BaseClaim
    requested: Identity | Unavailable
    base: BaseModel | Unavailable
    candidates: tuple[BaseModel, ...]
    compared: BaseModel | Unavailable
    reference: Reference | Unavailable


def find_bases(request: Request, location: Location, facts: BaseFacts) -> Bases:
    """Decide on the base, and find a copy of it to compare with."""
    # A base that lies in the model's own directory is none.
    home = None if location.url else location.directory
    claim = _claim(facts.documents, facts.weight_type, home)
    asked = request.base_model or named_by(request.base_dir, claim)
    requested, base = choose_base(asked, claim)
    candidates: tuple[BaseModel, ...]
    candidates = () if isinstance(base, Unavailable) else (base,)
    if isinstance(base, Unavailable) and asked is None:
        figures = _figures(facts.config, request.base_dir, claim)
        candidates = guess_bases(claim, figures, facts.tensors, facts.lora)
    compared = candidates[0] if len(candidates) == 1 else base
    reference = _reference(request, compared, claim, home)
    return Bases(claim, requested, base, candidates, compared, reference)


def _reference(
    request: Request,
    compared: BaseModel | Unavailable,
    claim: BaseClaim,
    home: Path | None,
) -> Reference | Unavailable:
    named, from_hub = named_path(claim, home), request.base_from_hub
    return find_reference(request.base_dir, compared, named=named, from_hub=from_hub)


def _claim(
    documents: Mapping[str, JsonObject | Unavailable],
    weight_type: WeightType | Unavailable,
    home: Path | None,
) -> BaseClaim:
    """What the directory says of its base, with the config that lies where it says."""
    claim = read_claim(documents, weight_type)
    return replace(claim, config=config_at(named_path(claim, home)))


def _figures(
    config: JsonObject | Unavailable, base_dir: Path | None, claim: BaseClaim
) -> JsonObject | Unavailable:
    """The config to know the base by: an adapter's own, the given or named base's."""
    if not isinstance(config, Unavailable):
        return config
    if base_dir is None:
        return claim.config
    return read_json_object(open_regular(base_dir / "config.json"), "config.json")
