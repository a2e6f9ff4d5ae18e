"""D, continued: single files that cannot be taken as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from preflight.catalog.service import is_importable_class
from preflight.findings import Problem, Severity, Unavailable, WeightType
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.model.files import FileEntry, FileKind, Walk, leads_out
from preflight.model.lfs import is_uploadable
from preflight.rules._rule import IN_BUCKET, ON_DISK, rule
from preflight.text import shortened

# C01 and I01 tell of these.
_JUDGED_ELSEWHERE = ("adapter_config.json", "model.safetensors.index.json")
_MAY_BE_EMPTY = ("README", "LICENSE", "NOTICE")
_DOWNLOADS = (".incomplete", ".crdownload", ".aria2")
_TEMPORARY = (*_DOWNLOADS, ".tmp", ".temp", ".part", ".partial", ".download", ".lock")
_SIX = re.compile(r"\.[A-Za-z0-9]{6}$")
_LONGEST_NAME = 255  # bytes, so that any prefix of sensible length fits into a key
Files = Mapping[str, FileEntry]


def _taken(files: Files, weight_type: WeightType | Unavailable) -> Iterator[FileEntry]:
    for name, entry in files.items():
        if is_uploadable(name, weight_type):
            yield entry


@rule(
    "D11", fix=say("Fetch the content with `git lfs pull`, or download the files anew.")
)
def no_lfs_pointers(pointers: tuple[str, ...]) -> Iterator[Problem]:
    """A git-lfs pointer is three lines of text that stand for a file not fetched.

    Causes: the repository was cloned without git-lfs, or with
    `GIT_LFS_SKIP_SMUDGE=1`.
    Source: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
    """
    if pointers:
        names = ", ".join(shortened(name, 60) for name in pointers[:6])
        more = (
            say(" and {count:,} more", count=len(pointers) - 6)
            if len(pointers) > 6
            else ""
        )
        told = say(
            "git-lfs pointers in place of the content: {names}{more}",
            names=names,
            more=more,
        )
        yield Problem(pointers[0], told)


_FETCH = say(
    "Download or save the file again: what the link led to was moved or removed."
)
_FOLLOW = say(
    "Copy the directory with `cp -rL`, which puts the files "
    "themselves in place of the links, and check the copy."
)


@rule(
    "D12",
    where=ON_DISK,
    fix=say("Put a regular, readable copy of the file in its place."),
)
def regular_files(
    files: Files, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """What goes up are regular files in the directory; nothing else is followed.

    A link may lead to another file in the directory or to a blob of the Hugging Face
    cache. One that leads elsewhere could send a file that nobody meant to send.
    Causes: a cache that was moved or cleaned, a link to a shared disk, a FIFO or
    socket of a running program.
    Source: layout of the cache, https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    for entry in _taken(files, weight_type):
        where, target = entry.name, str(entry.target or "")
        if entry.kind is FileKind.DANGLING:
            told = say("is a link to nothing, to {target}", target=target)
            yield Problem(where, told, fix=_FETCH)
        elif entry.kind is FileKind.SPECIAL:
            yield Problem(where, say("is a FIFO, socket or device"))
        elif entry.is_file and leads_out(entry):
            told = say(
                "is a link that leaves the directory, to {target}", target=target
            )
            yield Problem(where, told, fix=_FOLLOW)


@rule(
    "D22",
    where=IN_BUCKET,
    fix=say(
        "Restore the object and copy it to the class Standard, or upload it again."
    ),
)
def objects_can_be_read(
    files: Files, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """An import reads the objects at once, and archived ones have to be restored first.

    Causes: a lifecycle rule of the bucket that archives what is old, an upload to a
    bucket of another class.
    Source: storage classes, user guide "Model import".
    """
    for entry in _taken(files, weight_type):
        kind = entry.storage_class
        if not is_importable_class(kind):
            yield Problem(entry.name, say("is of storage class {kind}", kind=kind))


@rule("D13", fix=say("Save or copy the file again, or remove it if it is not needed."))
def no_empty_files(
    files: Files, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """A file of 0 bytes takes the place of the one that is needed.

    Causes: the disk or quota was full, the save was killed, a copy failed.
    Source: required files, user guide "Model import".
    """
    for entry in _taken(files, weight_type):
        exempt = entry.name.startswith(_MAY_BE_EMPTY)
        if entry.is_file and not entry.size and not exempt:
            yield Problem(entry.name, say("is empty (0 bytes)"))


@rule("D18", fix=say("Save the file again, or remove it if it is not needed."))
def json_files_readable(
    documents: Mapping[str, JsonObject | Unavailable],
    files: Files,
    pointers: tuple[str, ...],
    weight_type: WeightType | Unavailable,
) -> Iterator[Problem]:
    """Every JSON file that goes up is read by somebody; a mistake in it may stop them.

    Causes: edited by hand, cut short by a full disk, saved in another encoding.
    Source: https://www.rfc-editor.org/rfc/rfc8259
    """
    for name, document in documents.items():
        told_elsewhere = name in _JUDGED_ELSEWHERE or name in pointers
        if (
            told_elsewhere
            or not files[name].size
            or not is_uploadable(name, weight_type)
        ):
            continue
        if isinstance(document, Unavailable):
            yield Problem(name, document.reason)


def _unfinished(entry: FileEntry, weight_type: WeightType | Unavailable) -> str:
    """What kind of unfinished work a name tells of, or nothing."""
    *folders, base = entry.name.split("/")
    if folders:
        # Downloads into a directory keep their state here, their locks for good.
        cache = entry.name.startswith(".cache/huggingface/")
        return say("a download") if cache and base.endswith(".incomplete") else ""
    if entry.kind is FileKind.DIRECTORY:
        return say("a checkpoint's save") if base.startswith("tmp-checkpoint-") else ""
    if base.endswith(_DOWNLOADS):
        return say("a download")
    if re.fullmatch(r"\.tmp[A-Za-z0-9]{6}", base):  # as the safetensors library saves
        return say("a save")
    stem = next((base.removesuffix(e) for e in _TEMPORARY if base.endswith(e)), "")
    if not stem and base.startswith("."):
        stem = _SIX.sub("", base[1:])  # as rsync copies
    return say("a save or copy") if stem and is_uploadable(stem, weight_type) else ""


@rule(
    "D15",
    severity=Severity.WARNING,
    fix=say("Wait for the writer, or save or download again; then remove the remains."),
)
def nothing_unfinished(
    walk: Walk, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """Leftovers of an interrupted save or download: other files may be older.

    Causes: the trainer is still writing, was killed while it saved, or a download was
    interrupted.
    Source: safetensors saves to a temporary file and renames it; huggingface_hub's
    `.incomplete`; Trainer's `tmp-checkpoint-`.
    """
    for entry in walk.entries:
        if what := _unfinished(entry, weight_type):
            yield Problem(
                entry.name, say("remains of {what} that did not end", what=what)
            )


def _name_problem(name: str) -> str:
    try:
        length = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return say("is not UTF-8")
    if length > _LONGEST_NAME:
        return say(
            "has {length:,} bytes, at most {longest_name} are taken",
            length=length,
            longest_name=_LONGEST_NAME,
        )
    if "\\" in name:
        return say("has a backslash")
    return "" if name.isprintable() else say("has a control or direction character")


@rule("D16", fix=say("Rename the file, or remove it if it is not needed."))
def names_fit_for_objects(
    files: Files, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """A file's name becomes an object's key, which has rules of its own.

    Names that do not go up are not judged.
    Causes: copies with odd names, two files that differ by letter case only.
    Source: https://www.alibabacloud.com/help/en/oss/user-guide/object-naming-conventions
    """
    seen: dict[str, str] = {}
    for entry in _taken(files, weight_type):
        name = entry.name
        if problem := _name_problem(name):
            yield Problem(name, say("the name {problem}", problem=problem))
        twin = seen.setdefault(name.casefold(), name)
        if twin != name:
            told = say("differs from {twin} by letter case only", twin=twin)
            yield Problem(name, told)
