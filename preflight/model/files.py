"""Walk a model directory without opening, following or trusting anything in it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import islice
from pathlib import Path

from preflight.language import say
from preflight.model.stamp import Stamp
from preflight.model.steady import INSPECTING, Changed, Unreadable

# What huggingface_hub links to in its cache: blobs named by git SHA-1 or SHA-256.
_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MAX_FILES = 200_000  # beyond it the walk stops and says so
MAX_ABOVE = 10_000  # entries of the folder above that are looked at by name


class FileKind(str, Enum):
    """What a directory entry is; links count as what they lead to."""

    FILE = "file"
    DIRECTORY = "directory"
    DANGLING = "dangling link"
    SPECIAL = "special file"  # FIFO, socket or device: never opened

    @property
    def word(self) -> str:
        """What people are told of it."""
        return _KINDS[self]


_KINDS = {
    FileKind.FILE: say("file"),
    FileKind.DIRECTORY: say("directory"),
    FileKind.DANGLING: say("dangling link"),
    FileKind.SPECIAL: say("special file"),
}


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One entry below the model directory.

    `name` is relative with `/` as separator, `size` in bytes, `target` where a link
    leads (resolved), `inside` whether that is within the directory. `storage_class` is
    that of an object in a bucket.
    """

    name: str
    path: Path
    kind: FileKind
    size: int = 0
    mtime_ns: int = 0
    target: Path | None = None
    inside: bool = True
    readable: bool = True
    storage_class: str = ""

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file, reached directly or through a link."""
        return self.kind is FileKind.FILE

    @property
    def stamp(self) -> Stamp:
        """What must stay the same about it while it is read."""
        return Stamp(self.size, self.mtime_ns)

    @property
    def real_path(self) -> Path:
        """The file itself, where the entry is a link to it."""
        return self.target or self.path

    @property
    def at_top(self) -> bool:
        """Whether it lies directly in the model directory."""
        return "/" not in self.name


def leads_out(entry: FileEntry) -> bool:
    """Whether a link leads out of the directory, to no blob of a Hugging Face cache."""
    if entry.inside or entry.target is None:
        return False
    blob = entry.target.parent.name == "blobs"
    return not (blob and _BLOB.fullmatch(entry.target.name))


@dataclass(frozen=True, slots=True)
class Walk:
    """All entries found, sorted by name; `complete` is false when the walk stopped."""

    entries: tuple[FileEntry, ...]
    complete: bool = True
    unreadable: tuple[str, ...] = ()


def _kind(mode: int) -> FileKind:
    if stat.S_ISREG(mode):
        return FileKind.FILE
    return FileKind.DIRECTORY if stat.S_ISDIR(mode) else FileKind.SPECIAL


def _entry(item: os.DirEntry[str], name: str, root: Path) -> FileEntry:
    path = Path(item.path)
    target, inside = None, True
    if item.is_symlink():
        target = Path(os.path.realpath(path))
        inside = target.is_relative_to(root)
    try:
        # A mount that fails over says nothing about the file: it is asked again.
        found = INSPECTING.persist(item.stat, name)
    except (Changed, Unreadable, ValueError):
        return FileEntry(
            name, path, FileKind.DANGLING, target=target, inside=inside, readable=False
        )
    kind = _kind(found.st_mode)
    readable = kind is not FileKind.SPECIAL and os.access(path, os.R_OK)
    return FileEntry(
        name,
        path,
        kind,
        size=found.st_size if kind is FileKind.FILE else 0,
        mtime_ns=found.st_mtime_ns,
        target=target,
        inside=inside,
        readable=readable,
    )


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as items:
        return sorted(items, key=lambda item: item.name)


def is_directory(path: Path) -> bool | None:
    """Whether a directory lies at `path`; None where nothing does.

    Raises `Unreadable` when the system refuses to tell for a while.
    """
    try:
        found = INSPECTING.persist(path.stat, str(path))
    except (Changed, ValueError):
        return None
    return stat.S_ISDIR(found.st_mode)


def _scan(root: Path, below: str, unreadable: list[str]) -> Iterator[FileEntry]:
    """Entries of one directory and, depth first, of those in it that are no links."""
    real = Path(os.path.realpath(root))
    pending = [below]
    while pending:
        folder = pending.pop()
        try:
            items = INSPECTING.persist(partial(_listed, root / folder), folder or ".")
        except (Changed, Unreadable, ValueError):
            unreadable.append(folder or ".")
            continue
        for item in items:
            name = f"{folder}/{item.name}" if folder else item.name
            entry = _entry(item, name, real)
            yield entry
            # A linked directory is listed but not entered: no loops, no strangers.
            if entry.kind is FileKind.DIRECTORY and entry.target is None:
                pending.append(name)


def walk(root: Path) -> Walk:
    """Every entry below `root`; nothing is opened. At most `MAX_FILES` entries."""
    unreadable: list[str] = []
    entries: list[FileEntry] = []
    # A program may change its working directory while a run goes on.
    for entry in _scan(root.absolute(), "", unreadable):
        if len(entries) >= MAX_FILES:
            return Walk(tuple(entries), complete=False, unreadable=tuple(unreadable))
        entries.append(entry)
    entries.sort(key=lambda entry: entry.name)
    return Walk(tuple(entries), unreadable=tuple(unreadable))


def names_above(directory: Path) -> tuple[str, ...]:
    """The entries of the folder above, as `../name`, at most `MAX_ABOVE`.

    Of a link it is the folder that holds what it leads to. A folder that cannot be
    listed has none.
    """
    above = Path(os.path.realpath(directory)).parent
    try:
        with os.scandir(above) as items:
            return tuple(f"../{item.name}" for item in islice(items, MAX_ABOVE))
    except OSError:
        return ()
