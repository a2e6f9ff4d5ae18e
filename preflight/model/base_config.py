"""The base model's `config.json`, which adapters lack and the import asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from preflight.catalog.base_models import BaseModel
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.config_figures import resembles
from preflight.model.configs import JsonObject
from preflight.model.files import FileEntry
from preflight.model.reference import CONFIG, Reference
from preflight.regular import read_regular


@dataclass(frozen=True, slots=True)
class GeneratedFile:
    """A file that no one wrote to the directory; `origin` says whose content it is."""

    name: str
    content: bytes
    origin: str
    from_catalog: bool = False


class Inspected(Protocol):
    """What is asked of an inspection."""

    @property
    def weight_type(self) -> WeightType | Unavailable: ...  # noqa: D102
    @property
    def files(self) -> Mapping[str, FileEntry]: ...  # noqa: D102
    @property
    def base(self) -> BaseModel | Unavailable: ...  # noqa: D102
    @property
    def reference(self) -> Reference | Unavailable: ...  # noqa: D102


def base_config(found: Inspected) -> GeneratedFile | Unavailable:
    """The config to upload beside an adapter that has none; never written to disk.

    The file of the base's own copy byte by byte, where there is one, else the
    catalog's figures of that model.
    """
    if found.weight_type is not WeightType.LORA:
        return Unavailable(say("only an adapter is given its base's config.json"))
    if CONFIG in found.files:
        return Unavailable(say("the directory has a config.json of its own"))
    if isinstance(found.base, Unavailable):
        return found.base
    copied = _copied(found.reference, found.base)
    return copied or _generated(found.base)


def _copied(
    reference: Reference | Unavailable, base: BaseModel
) -> GeneratedFile | None:
    if isinstance(reference, Unavailable) or not _is_the_base(reference.config, base):
        return None
    try:
        content = read_regular(reference.directory / CONFIG)
    except OSError:
        return None
    return GeneratedFile(CONFIG, content, reference.origin)


def _is_the_base(config: JsonObject | Unavailable, base: BaseModel) -> bool:
    return not isinstance(config, Unavailable) and resembles(config, base)


def _generated(base: BaseModel) -> GeneratedFile:
    text = json.dumps(base.config(), indent=2) + "\n"
    origin = say(
        "the catalog's figures of {hub_id} ({date})", hub_id=base.hub_id, date=base.date
    )
    return GeneratedFile(CONFIG, text.encode(), origin, from_catalog=True)
