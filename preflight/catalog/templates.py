"""Chat templates that a base was published with before the one it has today."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from preflight.catalog._decode import decode, read_json
from preflight.catalog.base import Sha256, Size, Text, Texts

_FILE = Path(__file__).parent / "data" / "templates.json"


@dataclass(frozen=True, slots=True)
class EarlierTemplate:
    """A default of an earlier revision; `size` in bytes, `until` the month it ended."""

    sha256: str
    size: int
    until: str
    source: str


class _Entry(Struct, forbid_unknown_fields=True):
    sha256: Sha256
    bytes: Size
    bases: Texts
    until: Text
    source: Text


class _Templates(Struct, forbid_unknown_fields=True):
    date: Text
    templates: list[_Entry]


@lru_cache(maxsize=1)
def _entries() -> tuple[_Entry, ...]:
    return tuple(decode(_Templates, read_json(_FILE), str(_FILE)).templates)


def earlier_templates(code: str) -> tuple[EarlierTemplate, ...]:
    """Of the base with this API code; copies that were made then still have them."""
    return tuple(
        EarlierTemplate(one.sha256, one.bytes, one.until, one.source)
        for one in _entries()
        if code in one.bases
    )
