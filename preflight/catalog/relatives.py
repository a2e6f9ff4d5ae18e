"""Models that are near to an importable base without being one: data from one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from preflight.catalog._decode import decode, read_json
from preflight.catalog.base import Text, Texts
from preflight.language import known

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


class _Group(Struct, forbid_unknown_fields=True):
    """Models of which the same is to be said."""

    names: Texts
    why: Text
    nearest: str = ""
    same_shapes: bool = False


class _Relatives(Struct, forbid_unknown_fields=True):
    """The whole file."""

    date: Text
    source: Text
    relatives: list[_Group]


@lru_cache(maxsize=1)
def load_relatives() -> Mapping[str, Relative]:
    """All relatives by hub id."""
    document = decode(_Relatives, read_json(_FILE), str(_FILE))
    return MappingProxyType(
        {
            name: Relative(name, group.nearest, group.same_shapes, known(group.why))
            for group in document.relatives
            for name in group.names
        }
    )
