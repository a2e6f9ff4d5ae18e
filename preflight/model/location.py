"""Where a model lies, as people and commands name it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from preflight.findings import Where


@dataclass(frozen=True, slots=True)
class Location:
    """A directory on this machine, or with a `url` the prefix of a bucket.

    `directory` is then the name that a copy of it on this machine would have: other
    programs, whose commands a finding may name, read no buckets. `title` is what a
    model is called whose directory has another name, as in a cache.
    """

    directory: Path
    url: str = ""
    title: str = ""

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
        """What it is called: the last part of its path."""
        if self.title:
            return self.title
        return self.directory.name if self.url else self.directory.resolve().name

    @property
    def parent(self) -> str:
        """What the directory above it is called; empty where that says nothing."""
        return "" if self.title or self.url else self.directory.resolve().parent.name

    def below(self, folder: str) -> Location:
        """A folder below it."""
        url = f"{self.url}{folder}/" if self.url else ""
        return Location(self.directory / folder, url)
