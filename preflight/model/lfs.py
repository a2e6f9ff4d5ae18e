"""Files that git-lfs left as pointers: text of three lines in place of the content."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from preflight.catalog.uploadable import role_of
from preflight.findings import Unavailable, WeightType
from preflight.model.files import FileEntry
from preflight.model.recognise import HEAD_BYTES, Kind, recognise
from preflight.model.source import ModelSource
from preflight.model.steady import Changed, Unreadable

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: "less than 1024 bytes"
_LARGEST = 1024


def is_uploadable(name: str, weight_type: WeightType | Unavailable) -> bool:
    """Whether a file would go up; while the type is unknown, in any import."""
    kinds = WeightType if isinstance(weight_type, Unavailable) else (weight_type,)
    return any(role_of(name, kind) is not None for kind in kinds)


def may_be_pointers(entry: FileEntry, weight_type: WeightType | Unavailable) -> bool:
    """Whether a file is looked into: it is uploadable, and of a pointer's size."""
    small = entry.is_file and 0 < entry.size < _LARGEST
    return small and is_uploadable(entry.name, weight_type)


def find_lfs_pointers(
    source: ModelSource,
    entries: Iterable[FileEntry],
    weight_type: WeightType | Unavailable,
) -> tuple[str, ...]:
    """The names of those uploadable files that hold nothing but a pointer.

    Only files of pointer size are opened; what cannot be read is left to others.
    """
    return tuple(
        entry.name
        for entry in entries
        if may_be_pointers(entry, weight_type) and _is_pointer(source, entry)
    )


def _is_pointer(source: ModelSource, entry: FileEntry) -> bool:
    file = source.open(entry)
    if isinstance(file, Unavailable):
        return False
    with closing(file):
        try:
            head = file.read(0, min(file.size, HEAD_BYTES))
        except (Changed, Unreadable):
            return False
    return recognise(head) is Kind.LFS_POINTER
