"""From JSON to typed values, with errors that name the file and the field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from preflight.errors import ConfigurationError
from preflight.language import say
from preflight.regular import read_regular

T = TypeVar("T")

_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_FIELD = re.compile(
    r"^Object (?P<what>missing required|contains unknown) field `(?P<name>[^`]*)`$"
)
_NAMED = re.compile(r"^`(?P<name>\w+)` (?P<told>.+)$", re.S)
_HINT = say(
    "compare with the files that preflight brings in preflight/catalog/data/bases"
)


def read_json(file: Path) -> object:
    """The content of a JSON file; raises `ConfigurationError` that names it."""
    try:
        # Windows editors put a byte order mark in front.
        return json.loads(read_regular(file).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            say("{file} cannot be read as JSON: {error}", file=file, error=error),
            hint=say("repair or remove this file"),
        ) from error


def decode(kind: type[T], value: object, where: str) -> T:
    """`value` as a `kind`; `where` is the file and the way to the value in it.

    Raises `ConfigurationError` that names `where`, the field, and what is wrong.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind, where) from error


def _explained(message: str, kind: type, where: str) -> ConfigurationError:
    place = _PLACE.search(message)
    told = _PLACE.sub("", message)
    where += place["path"] if place else ""
    if named := _NAMED.match(told):  # one of our own checks
        told = f"{named['name']} {named['told']}"
        return ConfigurationError(f"{where}.{told}", hint=_HINT)
    field = _FIELD.match(told)
    if field is None:
        told = told[:1].lower() + told[1:]
        return ConfigurationError(
            say("{where} is not as it must be: {told}", where=where, told=told),
            hint=_HINT,
        )
    name = field["name"]
    if field["what"] == "missing required":
        return ConfigurationError(
            say("{where}.{name} is missing", where=where, name=name), hint=_HINT
        )
    return ConfigurationError(
        say("{where}.{name} is no known field", where=where, name=name),
        hint=_meant(name, kind),
    )


def _meant(name: str, kind: type) -> str:
    from difflib import get_close_matches  # slow to import, seldom needed

    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    close = get_close_matches(name, known, n=1)
    return say("did you mean {close}", close=close[0]) if close else _HINT
