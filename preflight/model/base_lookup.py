"""Find a copy of the base model: a directory given, the caches, the hub if asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from preflight.catalog.base_models import BaseModel
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.language import glued, say
from preflight.model.caches import cached_copies, is_there
from preflight.model.config_figures import resembles, unlike
from preflight.model.configs import JsonObject, read_json_object
from preflight.model.hub import fetch_reference
from preflight.model.identity import Match, identify
from preflight.model.reference import (
    CONFIG,
    Reference,
    WrongReference,
    read_reference,
)
from preflight.model.steady import open_regular


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
        return fetch_reference(base)
    return Unavailable(
        say("there is no local copy of {hub_id} to compare with", hub_id=base.hub_id)
    )


def _at_hand(base: BaseModel, named: Path | None) -> Iterator[tuple[Path, str]]:
    if named is not None and is_there(named / CONFIG):
        yield named, str(named)
    for copy in cached_copies(base.hub_id):
        yield copy.directory, copy.origin


def _given(base_dir: Path, base: BaseModel | Unavailable) -> Reference | Unavailable:
    shown = str(base_dir)
    if not is_there(base_dir / CONFIG):
        raise UsageError(
            say(
                "no base model in {shown}: it has no {config}",
                shown=shown,
                config=CONFIG,
            ),
            hint=say("give --base-dir the directory of the base model itself"),
        )
    found = read_reference(base_dir, shown)
    if isinstance(base, Unavailable):
        return found
    wrong = _another(found, base)
    return WrongReference(glued(shown, " ", wrong)) if wrong else found


def config_at(named: Path | None) -> JsonObject | Unavailable:
    """The config.json of the base that a model's own files name by its path."""
    if named is None or not is_there(named / CONFIG):
        return Unavailable(say("no directory of a base model is named"))
    return read_json_object(open_regular(named / CONFIG), CONFIG)


def _another(found: Reference, base: BaseModel) -> str:
    """Why what was read is not `base`; empty when it may be."""
    if isinstance(found.config, Unavailable):
        return say("cannot be used: {reason}", reason=found.config.reason)
    if found.config.get("quantization_config"):
        return say("is a quantised model, not {hub_id}", hub_id=base.hub_id)
    if told := unlike(found.config, base):
        return told
    named = identify(str(found.directory.absolute()))
    if named.match is Match.RELATIVE and not named.quantised:
        return say(
            "is by its name {canonical}, not {hub_id}",
            canonical=named.canonical,
            hub_id=base.hub_id,
        )
    return ""
