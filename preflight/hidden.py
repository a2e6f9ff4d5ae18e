"""Secrets that this process has seen, so that no text of anybody shows one.

What goes out passes here at the doors: lines, documents, events, logs and the record
of a run. A text that is cut is masked before, else half a secret would stay.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from preflight.language import altered

_SHORT = 8  # characters; a shorter secret is part of ordinary words, too
_NONE = 4  # characters; what is shorter still is no secret, and stands everywhere
_hidden: dict[str, re.Pattern[str]] = {}  # the longest first


def hide(*secrets: str) -> None:
    """Remember secrets for `masked`; texts of up to three characters are none.

    Each is known as URLs write it, too.
    """
    forms = {form for secret in secrets for form in (secret, quote(secret, safe=""))}
    new = {form for form in forms if len(form) >= _NONE} - _hidden.keys()
    if new:
        longest_first = sorted(_hidden.keys() | new, key=len, reverse=True)
        known = {secret: _pattern(secret) for secret in longest_first}
        _hidden.clear()
        _hidden.update(known)


def masked(text: str) -> str:
    """`text` with `***` in place of every secret that was hidden."""
    return altered(text, _masked) if _hidden else text


def _masked(text: str) -> str:
    for secret, pattern in tuple(_hidden.items()):
        if secret in text:
            text = pattern.sub("***", text)
    return text


def without(text: str, *secrets: str) -> str:
    """`text` with `***` in place of these secrets, whether they were hidden or not."""

    def change(text: str) -> str:
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            if secret in text:
                text = _pattern(secret).sub("***", text)
        return text

    return altered(text, change)


def masked_value(value: object) -> object:
    """A JSON-ready value whose strings are masked; the names of fields stay.

    A string that is a short secret and nothing else stays, too: it is a word of the
    document's own, such as a verdict, which happens to be somebody's password.
    """
    return _masked_value(value) if _stands_in(value) else value


def _stands_in(value: object) -> bool:
    """Whether a secret stands in it; most documents are large and hold none.

    Found in its JSON in one go: to look at each string takes three times as long.
    """
    if not _hidden:
        return False
    text = json.dumps(value, ensure_ascii=False)
    return any(json.dumps(each, ensure_ascii=False)[1:-1] in text for each in _hidden)


def _masked_value(value: object) -> object:
    if isinstance(value, str):
        is_word = value in _hidden and len(value) < _SHORT
        return value if is_word else masked(value)
    if isinstance(value, dict):
        return {key: _masked_value(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_masked_value(each) for each in value]
    return value


def _pattern(secret: str) -> re.Pattern[str]:
    """Where it stands; a short one only where it stands alone.

    To mask it inside of words would garble the text.
    """
    if len(secret) >= _SHORT:
        return re.compile(re.escape(secret))
    return re.compile(rf"(?<![\w-]){re.escape(secret)}(?![\w-])")
