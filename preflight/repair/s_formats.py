"""S: number formats and containers, without another value."""

from __future__ import annotations

import json
from dataclasses import replace

from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.files import FileEntry
from preflight.model.headers import (
    Broken,
    Cause,
    Container,
    Reading,
    read_container,
)
from preflight.model.source import OpenFile
from preflight.repair._repair import Change, changed, repair
from preflight.repair.draft import Draft
from preflight.repair.tensors import Made, tensors_of
from preflight.repair.values import WIDENED

_BOTH = frozenset(WeightType)
_WIDE = ("F32", "F64")
_SIXTEEN = ("BF16", "F16")


def cast(one: Made, dtype: str, *, rounded: bool = False) -> Made:
    """The same values in another format."""
    return replace(one, dtype=dtype, rounded=rounded or one.rounded)


@repair(
    "S07 S08",
    say(
        "Widens an adapter's tensors to one format that holds every value: F8 and "
        "mixed formats become F32, and F64 too where all its values are F32 ones."
    ),
)
def one_format(draft: Draft) -> Change | None:
    """Cast what has to be cast to F32, each value checked while it is written."""
    formats = {one.dtype for one in draft.tensors}
    if not formats or formats <= {"F32"} or not formats <= set(WIDENED):
        return None
    if len(formats) == 1 and formats <= set(_SIXTEEN):
        return None
    rounded = draft.known.losses.round
    new = tuple(
        one if one.dtype == "F32" else cast(one, "F32", rounded=rounded)
        for one in draft.tensors
    )
    told = say("{names} written as F32", names=", ".join(sorted(formats)))
    return changed(draft.with_tensors(new), told)


@repair(
    "S09",
    say('Writes the header anew, with the metadata {"format": "pt"}.'),
    kinds=_BOTH,
)
def container_metadata(draft: Draft) -> Change | None:
    """What is written anew has them; here it is only told."""
    readings = draft.found.containers
    if isinstance(readings, Unavailable) or "S09" not in draft.known.failed:
        return None
    odd = [
        each.file
        for each in readings
        if isinstance(each, Container) and (each.metadata or {}).get("format") != "pt"
    ]
    return (
        changed(draft, say("metadata of {count:,} files", count=len(odd)))
        if odd
        else None
    )


@repair(
    "S02",
    say("Cuts off bytes behind the last tensor that the header describes."),
    kinds=_BOTH,
)
def trailing_bytes(draft: Draft) -> Change | None:
    """Read each file that is too long as far as its header says."""
    readings = draft.found.containers
    if draft.weights or isinstance(readings, Unavailable):
        return None
    weights, told = {}, []
    for each in readings:
        entry = draft.found.files[each.file]
        found = each
        if isinstance(each, Broken) and each.cause is Cause.TRAILING:
            found = _described(draft, entry)
            told.append(each.file)
        if not isinstance(found, Container):
            return None
        weights[each.file] = tensors_of(entry, found)
    return changed(replace(draft, weights=weights), *told) if told else None


def _described(draft: Draft, entry: FileEntry) -> Reading:
    """What a file holds when it is read as far as its header says."""
    file = draft.source.open(entry)
    if isinstance(file, Unavailable):
        return Broken(entry.name, Cause.UNREADABLE, file.reason)
    return read_container(_Beginning(file), entry.name)


class _Beginning:
    """An open file without the bytes that its header does not describe."""

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        length = int.from_bytes(file.read(0, 8), "little")
        header: object = json.loads(file.read(8, length))
        spans = header.values() if isinstance(header, dict) else ()
        ends = [span["data_offsets"][1] for span in spans if "data_offsets" in span]
        self.size = 8 + length + max(ends, default=0)

    def read(self, offset: int, count: int) -> bytes:
        """As that of the file itself."""
        return self._file.read(offset, count)

    def check_unchanged(self) -> None:
        """As that of the file itself."""
        self._file.check_unchanged()

    def close(self) -> None:
        """As that of the file itself."""
        self._file.close()
