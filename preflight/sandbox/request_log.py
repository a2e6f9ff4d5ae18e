"""What was asked of an endpoint: the last calls, and sums over all of them."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A call as the log keeps it; status 0 means that no answer was sent."""

    method: str
    operation: str
    key: str
    status: int
    bytes_received: int


class RequestLog:
    """The last calls, and sums over all of them, in bounded memory.

    `on_call` is told of each one, in the thread that serves it.
    """

    def __init__(self) -> None:
        self.on_call: Callable[[RequestRecord], None] = lambda _: None
        self._lock = threading.Lock()
        self._last: deque[RequestRecord] = deque(maxlen=_LENGTH)
        self._count: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def add(self, record: RequestRecord) -> None:
        """One more call."""
        with self._lock:
            self._last.append(record)
            self._count[record.operation] += 1
            self._bytes[record.operation] += record.bytes_received
        self.on_call(record)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._last.clear()
            self._count.clear()
            self._bytes.clear()

    def count(self, name: str = "") -> int:
        """How many calls of that operation came in; of all if no name is given."""
        with self._lock:
            return self._count[name] if name else self._count.total()

    def bytes_received(self, name: str = "") -> int:
        """How many body bytes came in for that operation, or for all."""
        with self._lock:
            return self._bytes[name] if name else self._bytes.total()

    def last(self, name: str = "") -> tuple[RequestRecord, ...]:
        """The last calls, oldest first, at most 4,096; of one operation if named."""
        with self._lock:
            return tuple(r for r in self._last if not name or r.operation == name)
