"""Where the files of a model lie; an inspection reads through this alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.files import FileEntry, Walk, leads_out, names_above, walk
from preflight.model.location import Location
from preflight.model.recognise import require_directory
from preflight.model.steady import SteadyFile, open_regular, open_steady

OnBytes = Callable[[int, memoryview], None]
"""Sees (offset, bytes) of a block of one file; the memory is used again."""


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


class ModelFile(OpenFile, Protocol):
    """The same of a file that can be read to its end."""

    @property
    def name(self) -> str:
        """What messages call it."""

    def crc(self, *, on_block: OnBytes | None = None) -> int:
        """The CRC-64 of the whole file, read once.

        `on_block` sees each byte once, maybe in any order and from several threads.
        """


@dataclass(frozen=True, slots=True)
class Soon:
    """A file of which the first bytes will be read: so many, or all where None.

    `needs` tells by these how many it will be in all.
    """

    entry: FileEntry
    first: int | None = None
    needs: Callable[[bytes], int] = len


class ModelSource(Protocol):
    """A place that holds the files of one model.

    `reads_values`: whether single values may be read without asking first, as from a
    disk; from far away each of them is an answer to be waited for.
    """

    @property
    def location(self) -> Location:
        """Where that is."""

    @property
    def reads_values(self) -> bool:
        """Whether the inspection may look at values here and there."""

    def walk(self) -> Walk:
        """Every entry; nothing is opened. Raises `UsageError` for no such place."""

    def above(self) -> tuple[str, ...]:
        """The names in the folder above, as `../name`; none where there is none."""

    def expect(self, wanted: Iterable[Soon]) -> None:
        """These files will be opened: a place far away may begin to fetch them."""

    def open(self, entry: FileEntry) -> ModelFile | Unavailable:
        """An entry's file; the caller closes it.

        The reason is a phrase that follows the file's name.
        """

    def reopen(self, entry: FileEntry) -> ModelFile:
        """A file that was open before, as it was then; the caller closes it.

        Raises `Changed` and `Unreadable`.
        """

    def as_path(self, entry: FileEntry, head: int) -> AbstractContextManager[Path]:
        """A path under which a library can open the file.

        The first `head` bytes are the file's, and so is the size; others may be zero.
        """


class LocalDirectory:
    """A directory on this machine."""

    reads_values = True

    def __init__(self, root: Path, title: str = "") -> None:
        self._root, self._title = root, title

    @property
    def location(self) -> Location:
        """The directory."""
        return Location(self._root, title=self._title)

    def walk(self) -> Walk:
        """Every entry below the directory; nothing is opened.

        Raises `UsageError` where there is no such directory.
        """
        require_directory(self._root)
        return walk(self._root)

    def above(self) -> tuple[str, ...]:
        """The names in the folder above, each as `../name`, and nothing more."""
        return names_above(self._root)

    def expect(self, wanted: Iterable[Soon]) -> None:
        """A disk needs no warning."""

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

    def reopen(self, entry: FileEntry) -> SteadyFile:
        """The file itself, with the stamp that it had."""
        return open_steady(entry.real_path, entry.name, entry.stamp)

    @contextmanager
    def as_path(self, entry: FileEntry, head: int) -> Iterator[Path]:  # noqa: ARG002
        """The file itself."""
        with closing(self.reopen(entry)) as file:
            yield file.path
