"""Where the files of a model lie; an inspection reads through this alone."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.files import FileEntry, Walk, leads_out, names_above, walk
from preflight.model.steady import SteadyFile, open_regular


class OpenFile(Protocol):
    """One file of a model, open. What reads raises `Changed` or `Unreadable`."""

    @property
    def size(self) -> int:
        """How many bytes it had when it was opened."""

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset` on."""

    def check_unchanged(self) -> None:
        """Raise `Changed` unless it is still what was opened."""

    def close(self) -> None:
        """Nothing can be read any more."""


class ModelSource(Protocol):
    """A place that holds the files of one model."""

    def walk(self) -> Walk:
        """Every entry; nothing is opened."""

    def above(self) -> tuple[str, ...]:
        """The names in the folder above, as `../name`; none where there is none."""

    def open(self, entry: FileEntry) -> OpenFile | Unavailable:
        """An entry's file; the caller closes it.

        The reason is a phrase that follows the file's name.
        """


class LocalDirectory:
    """A directory on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def walk(self) -> Walk:
        """Every entry below the directory; nothing is opened."""
        return walk(self._root)

    def above(self) -> tuple[str, ...]:
        """The names in the folder above, each as `../name`, and nothing more."""
        return names_above(self._root)

    def open(self, entry: FileEntry) -> SteadyFile | Unavailable:
        """A regular file; a link that leaves the directory is not followed."""
        if entry.is_file and leads_out(entry):
            return Unavailable(say("is a link that leaves the directory"))
        path = entry.real_path if entry.is_file else entry.path
        opened = open_regular(path, entry.name)
        if isinstance(opened, SteadyFile) and not opened.stamp.fits(entry.stamp):
            opened.close()
            return Unavailable(say("changed since the directory was listed"))
        return opened
