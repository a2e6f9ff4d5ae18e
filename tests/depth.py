"""How far tests go that search: less in a run of all tests, more in `make fuzz`."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable

_TIMES = int(os.environ.get("PREFLIGHT_FUZZ", "1"))


def examples(count: int) -> int:
    """So many examples, or as many times more as `PREFLIGHT_FUZZ` says."""
    return count * _TIMES


class Kinds:
    """What a walk has been through: one of each kind will do, all in `make fuzz`."""

    def __init__(self) -> None:
        self._seen: set[Hashable] = set()

    def lack(self, kinds: Iterable[Hashable]) -> bool:
        """Whether something of these kinds is still to be tried."""
        return _TIMES > 1 or not self._seen.issuperset(kinds)

    def had(self, kinds: Iterable[Hashable]) -> None:
        """Something of these kinds was tried."""
        self._seen.update(kinds)
