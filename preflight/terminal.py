"""The terminal: what is told while a run goes on, and results on standard output."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from preflight.model.text import printable
from preflight.progress import Progress, ProgressMode, make_progress


@dataclass(frozen=True, slots=True)
class Terminal:
    """Standard error as the screen that the pipeline talks to; results elsewhere."""

    quiet: bool = False

    def say(self, text: str) -> None:
        """One line on standard error, unless --quiet."""
        if not self.quiet:
            self.complain(text)

    def complain(self, text: str) -> None:
        """One line on standard error, in any case."""
        sys.stderr.write(f"{printable(text, limit=4000)}\n")
        sys.stderr.flush()

    def show(self, text: str) -> None:
        """A result, on standard output as it is."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def progress(self) -> Progress:
        """A bar on a terminal, a line now and then elsewhere."""
        return make_progress(ProgressMode.OFF if self.quiet else ProgressMode.AUTO)
