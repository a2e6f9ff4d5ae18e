"""Whoever follows a run: the command line, a program that calls it, a test.

The stages tell an observer what they do and hand it what they reached; they know
neither a terminal nor a file, and what they return does not depend on it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from preflight.progress import Progress
from preflight.retry import RetryEvent


class Observer(Protocol):
    """Follows one run; `progress`, `retrying` and `say` are used from any thread."""

    def say(self, text: str) -> None:
        """One line about what happens now."""

    def retrying(self, event: RetryEvent) -> None:
        """Something failed and is tried again after a pause; told from any thread."""

    def note(self, text: str) -> None:
        """One line that belongs to the result as well, such as a warning."""

    def progress(self) -> Progress:
        """What counts the bytes of the next stage."""

    def stage(self, name: str) -> AbstractContextManager[None]:
        """The stage of this name runs while the block does."""

    def reached(self, value: object) -> None:
        """A stage ended with this value; a later one of its type takes its place."""
