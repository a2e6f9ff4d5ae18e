"""S: number formats and containers, without another value."""

from __future__ import annotations

import json
from dataclasses import replace

from preflight.findings import Unavailable, WeightType
from preflight.language import glued, say
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


_MENDED = (Cause.TRAILING, Cause.BAD_METADATA)


@repair(
    "S01 S02",
    say(
        "Takes the tensors that a header describes: bytes behind the last one are cut "
        "off, and metadata that are not text are left out."
    ),
    kinds=_BOTH,
)
def described_tensors(draft: Draft) -> Change | None:
    """Read each file as far as its header says, and of the header only the tensors."""
    readings = draft.found.containers
    if draft.weights or isinstance(readings, Unavailable):
        return None
    weights, told = {}, []
    for each in readings:
        entry = draft.found.files[each.file]
        found = each
        if isinstance(each, Broken) and each.cause in _MENDED:
            found = _described(draft, entry)
            told.append(glued(each.file, ": ", each.message))
        if not isinstance(found, Container):
            return None
        weights[each.file] = tensors_of(entry, found)
    return changed(replace(draft, weights=weights), *told) if told else None


def _described(draft: Draft, entry: FileEntry) -> Reading:
    """What a file holds when nothing is read but what its header says of tensors."""
    file = draft.source.open(entry)
    if isinstance(file, Unavailable):
        return Broken(entry.name, Cause.UNREADABLE, file.reason)
    return read_container(_TensorsAlone(file), entry.name)


class _TensorsAlone:
    """An open file without metadata and without bytes that no tensor has.

    The header, which is sound JSON, keeps its length, so that all offsets hold.
    """

    def __init__(self, file: OpenFile) -> None:
        self._file = file
        length = int.from_bytes(file.read(0, 8), "little")
        header: object = json.loads(file.read(8, length))
        held = dict(header) if isinstance(header, dict) else {}
        held.pop("__metadata__", None)
        text = json.dumps(held, ensure_ascii=False, separators=(",", ":"))
        self._head = file.read(0, 8) + text.encode(errors="replace").ljust(length)
        ends = [_end(entry) for entry in held.values()]
        self.size = min(file.size, 8 + length + max(ends, default=0))

    def read(self, offset: int, count: int) -> bytes:
        """As that of the file itself, but for the header."""
        head = self._head[offset : offset + count]
        if len(head) == count:
            return head
        return head + self._file.read(offset + len(head), count - len(head))

    def check_unchanged(self) -> None:
        """As that of the file itself."""
        self._file.check_unchanged()

    def close(self) -> None:
        """As that of the file itself."""
        self._file.close()


def _end(entry: object) -> int:
    """Where a tensor's data end; an entry that does not say it is refused later."""
    span = entry.get("data_offsets") if isinstance(entry, dict) else None
    end = span[-1] if isinstance(span, list) and span else 0
    return end if isinstance(end, int) else 0
