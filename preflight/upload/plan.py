"""What goes up, under which key and in which order: a value, made before any byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from preflight.catalog.uploadable import Role, role_of, why_excluded
from preflight.destination import Destination, key_problem
from preflight.errors import PreflightError, UsageError
from preflight.findings import WeightType
from preflight.language import glued, say
from preflight.model.files import FileEntry, FileKind, Walk, leads_out
from preflight.model.stamp import Stamp


@dataclass(frozen=True, slots=True)
class UploadItem:
    """One object to be: `source` is a local file or the bytes themselves.

    `size` in bytes; `mtime_ns` as it was when the plan was made; `role` decides when
    it becomes visible.
    """

    key: str
    name: str
    size: int
    source: Path | bytes
    mtime_ns: int = 0
    role: Role = Role.SUPPORT

    @property
    def stamp(self) -> Stamp:
        """What its file was when the plan was made."""
        return Stamp(self.size, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class Excluded:
    """One file that stays behind, and why."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What goes up and what stays behind, wherever it goes; keys are bare names."""

    items: tuple[UploadItem, ...]
    excluded: tuple[Excluded, ...] = ()

    def under(self, destination: Destination) -> UploadPlan:
        """The plan for one destination.

        Raises `UsageError` for keys that are too long or otherwise unfit, and for
        names that differ by letter case only.
        """
        items = [replace(one, key=destination.key(one.name)) for one in self.items]
        _check_keys(items)
        return UploadPlan(destination, tuple(items), self.excluded)


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """The objects in upload order: weights, the rest, the key configs last."""

    destination: Destination
    items: tuple[UploadItem, ...]
    excluded: tuple[Excluded, ...] = ()

    @property
    def total_bytes(self) -> int:
        """The sum of all items' sizes in bytes."""
        return sum(item.size for item in self.items)


# An import begins with the key configs: they come last, when all they name is there.
_RANKS = {Role.WEIGHTS: 0, Role.SUPPORT: 1, Role.KEY_CONFIG: 2}


def _obstacle(entry: FileEntry) -> str:
    """Why a file that belongs to the import cannot be taken, or nothing."""
    if entry.kind is not FileKind.FILE:
        return say("is a {kind}", kind=entry.kind.word)
    if not entry.readable:
        return say("cannot be read")
    if leads_out(entry):
        return say("is a link that leaves the directory")
    return ""


def _item(entry: FileEntry, role: Role) -> UploadItem:
    # Leaving such a file out would upload a model that lacks it: better to stop.
    if obstacle := _obstacle(entry):
        raise UsageError(
            glued(repr(entry.name), " ", obstacle),
            hint=say("put a regular, readable copy in its place, or remove it"),
        )
    name = entry.name
    return UploadItem(name, name, entry.size, entry.real_path, entry.mtime_ns, role)


def _generated_items(
    generated: Mapping[str, bytes], weight_type: WeightType
) -> list[UploadItem]:
    items = []
    for name, data in generated.items():
        role = role_of(name, weight_type)
        if role is None:
            raise PreflightError(
                say("generated {name!r} is not on the allow-list", name=name)
            )
        items.append(UploadItem(name, name, len(data), data, role=role))
    return items


def _check_keys(items: Iterable[UploadItem]) -> None:
    seen: dict[str, str] = {}
    for item in items:
        if problem := key_problem(item.key):
            raise UsageError(
                say(
                    "the object key of {name!r} {problem}",
                    name=item.name,
                    problem=problem,
                ),
                hint=say("rename the file, or choose another prefix"),
            )
        # Whoever downloads the model to a Mac or to Windows would lose one of the two.
        twin = seen.setdefault(item.name.casefold(), item.name)
        if twin != item.name:
            raise UsageError(
                say(
                    "{twin!r} and {name!r} differ by letter case only",
                    twin=twin,
                    name=item.name,
                ),
                hint=say("keep one of them"),
            )


def _in_order(items: list[UploadItem]) -> list[UploadItem]:
    def rank(item: UploadItem) -> tuple[int, int, str]:
        weights = item.role is Role.WEIGHTS
        return _RANKS[item.role], -item.size if weights else 0, item.name

    return sorted(items, key=rank)


def select_files(
    found: Walk | Iterable[FileEntry],
    weight_type: WeightType,
    *,
    generated: Mapping[str, bytes] | None = None,
) -> Selection:
    """Sort a directory's entries into what goes up and what stays behind.

    `generated` files (name to content) go up instead of local ones of the same name.
    Raises `UsageError` for files of the import that cannot be taken.
    """
    made = generated or {}
    items, excluded = _generated_items(made, weight_type), []
    for entry in found.entries if isinstance(found, Walk) else found:
        if entry.kind is FileKind.DIRECTORY and entry.target is None:
            continue  # what lies in it has entries of its own
        if entry.kind is FileKind.DIRECTORY:
            reason = say("link to a directory")
        elif entry.name in made:
            reason = say("replaced by a generated file")
        elif role := role_of(entry.name, weight_type):
            items.append(_item(entry, role))
            continue
        else:
            reason = why_excluded(entry.name)
        excluded.append(Excluded(entry.name, entry.size, reason))
    return Selection(tuple(_in_order(items)), tuple(excluded))


def plan_upload(
    found: Walk | Iterable[FileEntry],
    destination: Destination,
    weight_type: WeightType,
    *,
    generated: Mapping[str, bytes] | None = None,
) -> UploadPlan:
    """`select_files`, under a destination that is known already."""
    return select_files(found, weight_type, generated=generated).under(destination)
