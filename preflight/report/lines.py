"""On which line of a JSON file a field stands."""

from __future__ import annotations

import json
import re
from json import JSONDecoder
from pathlib import Path

from preflight.regular import read_regular

_LARGEST = 1 << 20  # bytes of a config; larger files are not looked through
_SPACE = re.compile(r"[ \t\r\n]*")


def line_of(path: Path, field: str) -> int:
    """The line of a field at the top of an object, counted from 1; 0 if unknown.

    Of `quantization_config.bits` it is that of `quantization_config`.
    """
    try:
        if not field or path.stat().st_size > _LARGEST:
            return 0
        text = read_regular(path).decode()
        for wanted in (field, re.split(r"[.\[ ]", field, maxsplit=1)[0]):
            if (at := _position(text, wanted)) is not None:
                return text.count("\n", 0, at) + 1
    except (OSError, ValueError, RecursionError):
        pass
    return 0


def _position(text: str, field: str) -> int | None:
    """Where the key begins; keys of objects further in are passed over."""
    decoder = JSONDecoder()
    at = _after_space(text, 0)
    if text[at : at + 1] != "{":
        return None
    at += 1
    while True:
        at = start = _after_space(text, at)
        if text[at : at + 1] != '"':
            return None
        key, at = decoder.raw_decode(text, at)
        if key == field:
            return start
        at = _after_space(text, at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("no colon", text, at)
        _, at = decoder.raw_decode(text, _after_space(text, at + 1))
        at = _after_space(text, at)
        if text[at : at + 1] != ",":
            return None
        at += 1


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
