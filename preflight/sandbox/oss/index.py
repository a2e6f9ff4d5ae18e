"""The state on disk: a list of JSON lines, one per change, each written at once.

A line is a list of changes `[table, key, value]`; value null removes. Opening replays
the lines (a torn last one is dropped) and writes the file anew, by an atomic rename.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Change = tuple[str, str, Any]


class Index:
    """An open index; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.tables = _replay(path)
        self._descriptor = -1
        self._rewrite()

    def write(self, changes: Iterable[Change]) -> None:
        """Append changes that belong together: all of them are kept, or none."""
        line = json.dumps(list(changes), separators=(",", ":")) + "\n"
        data = line.encode()
        while data:
            data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Release the file; it holds everything already."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _rewrite(self) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            for table, rows in self.tables.items():
                for key, value in rows.items():
                    json.dump([[table, key, value]], file, separators=(",", ":"))
                    file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)


def _replay(path: Path) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return tables
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            changes = json.loads(line)
        except ValueError:
            raise ValueError(f"{path}: line {number} is damaged") from None
        for table, key, value in changes:
            _apply(tables.setdefault(table, {}), key, value)
    return tables


def _apply(rows: dict[str, Any], key: str, value: Mapping[str, Any] | None) -> None:
    if value is None:
        rows.pop(key, None)
    else:
        rows[key] = value
