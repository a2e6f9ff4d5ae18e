"""PEFT's patterns: a mapping from ends of module paths to a rank or an alpha."""

from __future__ import annotations

import re
from collections.abc import Mapping

_LONGEST = 2000  # characters of a path that is matched


def pattern_value(pattern: object, module: str) -> object | None:
    """What `rank_pattern` or `alpha_pattern` gives a module; None where it gives none.

    As PEFT matches: the first key that is the module's path, or the end of it, as a
    regular expression.
    Source: `get_pattern_key`, peft/utils/other.py.
    """
    if not isinstance(pattern, Mapping):
        return None
    return next((v for key, v in pattern.items() if ends_with(module, str(key))), None)


def ends_with(module: str, key: str) -> bool:
    """Whether a key of a pattern means this module."""
    try:
        return re.fullmatch(rf"(.*\.)?({key})", module[:_LONGEST]) is not None
    except re.error:
        return False
