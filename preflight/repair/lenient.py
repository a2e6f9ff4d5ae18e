"""JSON as its writer meant it: other encodings, and marks that strict readers refuse.

PEFT reads its config with Python's own reader, which takes NaN and the last of two
equal keys. What that reader sees in a file is what was trained with.
"""

from __future__ import annotations

import codecs
import json
import math
import re

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.configs import JsonObject, json_object

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig", say("a byte order mark")),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_MOST = 1 << 20  # characters; a config has two thousand
_STRING_OR_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])')


def lenient_object(data: bytes, name: str) -> tuple[JsonObject, tuple[str, ...]] | None:
    """The object that the bytes were meant to be, and what was odd about them.

    `None` where that cannot be told.
    """
    text, odd = _decoded(data)
    if text is None or len(text) > _MOST:
        return None
    plain = _STRING_OR_COMMA.sub(lambda m: "" if m[0] == "," else m[0], text)
    if plain != text:
        odd.append(say("a comma too many"))
    try:
        value = json.loads(plain, object_pairs_hook=lambda pairs: _last(pairs, odd))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    if _finite(value):
        odd.append("NaN")
    sound = json_object(json.dumps(value).encode(), name)
    return None if isinstance(sound, Unavailable) else (value, tuple(odd))


def _decoded(data: bytes) -> tuple[str | None, list[str]]:
    for mark, encoding, told in _MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), [told]
            except UnicodeDecodeError:
                return None, []
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        return None, []


def _last(pairs: list[tuple[str, object]], odd: list[str]) -> dict[str, object]:
    """Of two values of a key the last one, as Python's reader has it."""
    made = dict(pairs)
    if len(made) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        odd.append(say('"{key}" given twice, of which the last counts', key=twice))
    return made


def _finite(value: dict[str, object]) -> bool:
    """Replace a dropout that is no number by 0: it plays no part but in training."""
    dropout = value.get("lora_dropout")
    if isinstance(dropout, float) and not math.isfinite(dropout):
        value["lora_dropout"] = 0.0
        return True
    return False
