"""Paging through keys with prefix, delimiter and marker, as pure functions.

OSS docs, "ListObjects (GetBucket)", "ListObjectsV2", "ListMultipartUploads".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Entry = tuple[str, str]  # a key, and an upload id (empty for objects)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer's worth; `last` is where the next page goes on."""

    entries: tuple[Entry, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last: Entry


def list_page(
    entries: Iterable[Entry],
    *,
    prefix: str = "",
    delimiter: str = "",
    after: Entry = ("", ""),
    limit: int = 100,
) -> Page:
    """The next `limit` entries and common prefixes behind `after`.

    The entries come sorted, and no more of them are taken than the page needs. Python
    compares strings by code point, which is the order of their UTF-8 bytes.
    An `after` without an upload id stands behind all uploads of its key.
    """
    found: list[Entry] = []
    prefixes: list[str] = []
    last = ("", "")
    for entry in entries:
        if not entry[0].startswith(prefix) or _is_past(entry, after):
            continue
        group = _group(entry[0], prefix, delimiter)
        if group and (group == after[0] or prefixes[-1:] == [group]):
            continue
        if len(found) + len(prefixes) == limit:
            return Page(tuple(found), tuple(prefixes), True, last)
        last = (group, "") if group else entry
        if group:
            prefixes.append(group)
        else:
            found.append(entry)
    return Page(tuple(found), tuple(prefixes), False, last)


def _is_past(entry: Entry, after: Entry) -> bool:
    if after[1]:
        return entry <= after
    return bool(after[0]) and entry[0] <= after[0]


def _group(key: str, prefix: str, delimiter: str) -> str:
    """The common prefix that stands for the key, or nothing."""
    if not delimiter:
        return ""
    head, found, _ = key[len(prefix) :].partition(delimiter)
    return prefix + head + found if found else ""
