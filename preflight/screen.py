"""What a run needs of the terminal, so that the stages need not know one."""

from __future__ import annotations

from typing import Protocol

from preflight.progress import Progress


class Screen(Protocol):
    """Where a run tells what it is doing; results do not go this way."""

    def say(self, text: str) -> None:
        """One line about what happens now."""

    def progress(self) -> Progress:
        """A fresh progress bar, or whatever stands for one."""
