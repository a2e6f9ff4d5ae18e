"""Typed reading of a JSON object, with errors that name the file and the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from preflight.errors import ConfigurationError


class Fields:
    """The fields of one JSON object; `where` is the file and the way to the object.

    Each getter raises `ConfigurationError` when its field is missing or of another
    kind. `finish` raises for fields that no getter asked for: a typing error.
    """

    def __init__(self, values: object, where: str) -> None:
        self._where = where
        self._asked: set[str] = set()
        if not isinstance(values, dict):
            raise ConfigurationError(f"{where} must be a JSON object", hint=_HINT)
        self._values: Mapping[str, Any] = values

    def has(self, name: str) -> bool:
        """Whether the field is there at all."""
        self._asked.add(name)
        return name in self._values

    def fail(self, name: str, wanted: str) -> NoReturn:
        """Raise for one field: what it must be, and what it is."""
        found = repr(self._values[name])[:60] if name in self._values else "missing"
        message = f"{self._where}.{name} must be {wanted}, it is {found}"
        raise ConfigurationError(message, hint=_HINT)

    def number(self, name: str, *, least: int = 1) -> int:
        """A whole number of at least `least`; `true` is none."""
        value = self._get(name)
        if type(value) is not int or value < least:
            self.fail(name, f"a whole number of at least {least}")
        return value

    def text(self, name: str) -> str:
        """A string that is not empty."""
        value = self._get(name)
        if not isinstance(value, str) or not value.strip():
            self.fail(name, "a text that is not empty")
        return value

    def digest(self, name: str) -> str:
        """A SHA-256 in lower-case hexadecimal digits."""
        value = self.text(name)
        if not is_sha256(value):
            self.fail(name, "a SHA-256 of 64 hexadecimal digits in lower case")
        return value

    def flag(self, name: str) -> bool:
        """`true` or `false`."""
        value = self._get(name)
        if not isinstance(value, bool):
            self.fail(name, "true or false")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, at least one, none of them twice."""
        value = self.items(name)
        if not all(isinstance(item, str) and item for item in value):
            self.fail(name, "a list of texts")
        if not value or len(set(value)) != len(value):
            self.fail(name, "a list of different texts, at least one")
        return tuple(value)

    def numbers(self, name: str) -> tuple[int, ...]:
        """A list of whole numbers from 0 on, possibly empty."""
        value = self.items(name)
        if not all(type(item) is int and item >= 0 for item in value):
            self.fail(name, "a list of whole numbers")
        return tuple(value)

    def items(self, name: str) -> list[Any]:
        """A list of anything."""
        value = self._get(name)
        if not isinstance(value, list):
            self.fail(name, "a list")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """A JSON object, as it is."""
        value = self._get(name)
        if not isinstance(value, dict):
            self.fail(name, "a JSON object")
        return value

    def finish(self) -> None:
        """Raise for the first field that nobody asked for."""
        for name in self._values:
            if name not in self._asked:
                message = f"{self._where}.{name} is no known field"
                raise ConfigurationError(message, hint=self._meant(name))

    def _meant(self, name: str) -> str:
        from difflib import get_close_matches  # slow to import, seldom needed

        close = get_close_matches(name, sorted(self._asked), n=1)
        return f"did you mean {close[0]}" if close else _HINT

    def _get(self, name: str) -> object:
        self._asked.add(name)
        return self._values.get(name)


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 as this catalog writes it."""
    return len(text) == 64 and not set(text) - set("0123456789abcdef")


_HINT = "compare with the files that preflight brings in preflight/catalog/data/bases"
