"""A clock that a test turns itself: sleeping takes no time and is written down."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ManualClock:
    time: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.time += seconds
