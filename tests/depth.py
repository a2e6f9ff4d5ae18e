"""How far tests go that search: less in a run of all tests, more in `make fuzz`."""

from __future__ import annotations

import os

_TIMES = int(os.environ.get("PREFLIGHT_FUZZ", "1"))


def examples(count: int) -> int:
    """So many examples, or as many times more as `PREFLIGHT_FUZZ` says."""
    return count * _TIMES
