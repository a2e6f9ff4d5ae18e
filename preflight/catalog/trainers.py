"""What each trainer leaves behind, and how to get from it what an import takes.

`data/trainers.json` holds one signature for each thing that a trainer, a sharding
library or an exporter writes: the names that tell it, the form of the weights, and the
exporter's command, each with its public source and the date of the version that was
read. Nothing here opens a file.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from os.path import normpath
from pathlib import Path, PurePosixPath

from preflight.language import known

_DATA = Path(__file__).parent / "data" / "trainers.json"

Documents = Mapping[str, object]


class Form(str, Enum):
    """In what form the weights lie there."""

    ADAPTER = "adapter"  # PEFT's layout: an adapter import takes it
    FULL = "full"  # the layout of Hugging Face: a full import takes it
    RENAMED = "renamed"  # the same, but for the files' names
    SHARDS = "shards"  # of the ranks of a training run
    PICKLE = "pickle"
    NATIVE = "native"  # the trainer's own names or layout
    ARCHIVE = "archive"
    QUANTISED = "quantised"
    ENGINE = "engine"  # converted for one inference engine, for good
    BESIDE = "beside"  # trained weights that an adapter does not hold
    RECORD = "record"  # no weights: logs, arguments, folders of saves


UNUSABLE = frozenset({Form.SHARDS, Form.PICKLE, Form.NATIVE, Form.ARCHIVE, Form.ENGINE})
"""Forms that hold the trained weights, but that no import reads."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A key of a JSON file, dots between levels; no values mean that it is there."""

    file: str
    key: str
    values: tuple[str, ...] = ()

    def holds(self, documents: Documents) -> bool:
        """Whether the file was read, has the key, and one of the values (globs)."""
        value: object = documents.get(self.file)
        for part in self.key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return False
            value = value[part]
        if not self.values:
            return value is not None
        text = value if isinstance(value, str) else json.dumps(value)
        return any(fnmatchcase(text, pattern) for pattern in self.values)


@dataclass(frozen=True, slots=True)
class Signature:
    """What tells that a folder was written by one exporter of one trainer.

    Names are globs of entries directly in the folder: each of `all_of`, one of
    `any_of`, none of `none_of`. `usable` is where, from that folder, the files lie
    that an import takes ("" when there are none yet). `command` makes them.
    """

    trainer: str
    id: str
    what: str
    form: Form
    source: str
    date: str
    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()
    document: Condition | None = None
    usable: str = ""
    command: str = ""
    note: str = ""

    @property
    def advice(self) -> str:
        """The note as a sentence of its own."""
        return known(f"{self.note[:1].upper()}{self.note[1:]}.") if self.note else ""

    def matches(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names that tell it, in order, or nothing."""
        there = sorted(names)
        if any(_some(there, pattern) for pattern in self.none_of):
            return ()
        every = [_some(there, pattern) for pattern in self.all_of]
        either = [name for pattern in self.any_of for name in _some(there, pattern)]
        if not all(every) or (self.any_of and not either):
            return ()
        told = [name for names in every for name in names] + either
        return tuple(dict.fromkeys(told))


def _some(names: Iterable[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]


@dataclass(frozen=True, slots=True)
class Trace:
    """A signature found in a folder.

    `folder` is relative to the directory that was looked at: "" for itself, ".." for
    the one above, else a path below. `names` are those in it that told.
    """

    signature: Signature
    folder: str
    names: tuple[str, ...] = field(default=())

    @property
    def first(self) -> str:
        """The first of the telling names, relative to the directory."""
        return f"{self.folder}/{self.names[0]}" if self.folder else self.names[0]

    def command(self, directory: Path) -> str:
        """The exporter's command line for a shell, or "" where there is none.

        Words in capitals (OUTPUT_DIR, BASE_MODEL, CONFIG.yml) are left to the reader.
        """
        folder = Path(normpath(directory / self.folder))
        values = {
            "{directory}": str(folder),
            "{parent}": str(folder.parent),
            "{name}": folder.name,
            "{file}": str(folder / self.names[0]),
        }
        line = self.signature.command
        for mark, value in values.items():
            line = line.replace(mark, shlex.quote(value))
        return line


@lru_cache(maxsize=1)
def load_signatures() -> tuple[Signature, ...]:
    """All signatures, in the order of the file."""
    trainers = json.loads(_DATA.read_text("utf-8"))["trainers"]
    return tuple(
        _signature(trainer["name"], row)
        for trainer in trainers
        for row in trainer["traces"]
    )


def _signature(trainer: str, row: dict[str, object]) -> Signature:
    values: dict[str, object] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in row.items()
    }
    values["form"] = Form(str(row["form"]))
    values["what"] = known(str(row["what"]))
    if isinstance(found := row.get("document"), dict):
        values["document"] = Condition(
            found["file"], found["key"], tuple(found.get("values", ()))
        )
    return Signature(trainer=trainer, **values)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def _telling() -> re.Pattern[str]:
    """All names that any signature speaks of: most of a directory's are none."""
    patterns = {
        pattern
        for one in load_signatures()
        for pattern in (*one.all_of, *one.any_of, *one.none_of)
    }
    return re.compile("|".join(translate(pattern) for pattern in sorted(patterns)))


def _by_folder(names: Iterable[str]) -> dict[str, set[str]]:
    """Telling names, of files and of folders, by the folder in which they lie."""
    folders: dict[str, set[str]] = {}
    known: set[str] = set()
    for name in names:
        path = name
        # The folders on the way have names of their own, each looked at once.
        while path and path not in ("..", ".") and path not in known:
            known.add(path)
            parent, _, base = path.rpartition("/")
            if _telling().match(base):
                folders.setdefault(parent, set()).add(base)
            path = parent
    return folders


def recognise(names: Iterable[str], documents: Documents) -> tuple[Trace, ...]:
    """All traces that trainers left in a directory.

    `names` are paths relative to the directory with `/` as separator: entries of it,
    of folders below, and of the folder above as `../name`. `documents` are the JSON
    files at its top by name. Those of the directory itself come first, then those
    above, then those below, the nearest first; within a folder in the file's order.
    """
    folders = _by_folder(names)
    found: list[Trace] = []
    for folder in sorted(folders, key=_nearness):
        for one in load_signatures():
            if one.document and (folder or not one.document.holds(documents)):
                continue
            if told := one.matches(folders[folder]):
                found.append(Trace(one, folder, told))
    return tuple(found)


def _nearness(folder: str) -> tuple[int, int, str]:
    if not folder:
        return (0, 0, "")
    return (1 if folder == ".." else 2, len(PurePosixPath(folder).parts), folder)
