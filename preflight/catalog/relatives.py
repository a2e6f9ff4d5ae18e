"""Models that are near to an importable base without being one: data from one file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from preflight.catalog._fields import Fields

_FILE = Path(__file__).parent / "data" / "relatives.json"


@dataclass(frozen=True, slots=True)
class Relative:
    """A model that cannot be imported onto, and the importable one nearest to it.

    `nearest` is an API code or empty; `same_shapes` says that an adapter of the one
    fits the other's shapes, so that only the name can tell them apart.
    """

    hub_id: str
    nearest: str
    same_shapes: bool
    why: str


@lru_cache(maxsize=1)
def load_relatives() -> Mapping[str, Relative]:
    """All relatives by hub id."""
    document = Fields(json.loads(_FILE.read_text("utf-8")), str(_FILE))
    groups = document.items("relatives")
    found = (one for index, raw in enumerate(groups) for one in _group(raw, index))
    return MappingProxyType({relative.hub_id: relative for relative in found})


def _group(raw: object, index: int) -> Iterator[Relative]:
    fields = Fields(raw, f"{_FILE.name}: relatives[{index}]")
    nearest = fields.text("nearest") if fields.has("nearest") else ""
    same = fields.flag("same_shapes") if fields.has("same_shapes") else False
    why = fields.text("why")
    for name in fields.texts("names"):
        yield Relative(name, nearest, same, why)
    fields.finish()
