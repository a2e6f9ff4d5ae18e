"""Where a model lies, as people and commands name it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from preflight.findings import Where


@dataclass(frozen=True, slots=True)
class Location:
    """A directory on this machine, or with a `url` the prefix of a bucket.

    `directory` is then the name that a copy of it on this machine would have: other
    programs, whose commands a finding may name, read no buckets.
    """

    directory: Path
    url: str = ""

    @property
    def where(self) -> Where:
        """What kind of place it is."""
        return Where.BUCKET if self.url else Where.DIRECTORY

    @property
    def shown(self) -> str:
        """As a command of preflight takes it."""
        return self.url or str(self.directory)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.directory.name if self.url else self.directory.resolve().name

    def below(self, folder: str) -> Location:
        """A folder below it."""
        url = f"{self.url}{folder}/" if self.url else ""
        return Location(self.directory / folder, url)
