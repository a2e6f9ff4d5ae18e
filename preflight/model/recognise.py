"""What strangers wrote: recognised by its first bytes."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.files import is_directory
from preflight.model.steady import Unreadable, open_regular

HEAD_BYTES = 4096  # enough for every mark that `recognise` knows


class Kind(str, Enum):
    """A file that often lies where a weight or JSON file should be."""

    LFS_POINTER = "git-lfs pointer"
    HTML = "HTML or XML page"
    GGUF = "GGUF model"
    ARCHIVE = "archive (zip, tar, gzip, or a PyTorch .bin)"
    PICKLE = "Python pickle"

    @property
    def word(self) -> str:
        """What people are told of it."""
        return _KINDS[self]


_KINDS = {
    Kind.LFS_POINTER: say("git-lfs pointer"),
    Kind.HTML: say("HTML or XML page"),
    Kind.GGUF: say("GGUF model"),
    Kind.ARCHIVE: say("archive (zip, tar, gzip, or a PyTorch .bin)"),
    Kind.PICKLE: say("Python pickle"),
}


# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md, "The Pointer"
_LFS = b"version https://git-lfs"
_PAGES = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")
_ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"\x28\xb5\x2f\xfd",
)
_PICKLES = tuple(bytes((0x80, version)) for version in range(2, 6))
_TAR_MARK = slice(257, 262)  # "ustar" in the first member's header, POSIX.1-1988


def recognise(head: bytes) -> Kind | None:
    """What a file is by its first bytes; None when they bear no mark known here.

    Pickle and gzip have marks of two bytes: ask only about a file known to be wrong.
    """
    if head.startswith(_LFS):
        return Kind.LFS_POINTER
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower().startswith(_PAGES):
        return Kind.HTML
    if head.startswith(b"GGUF"):
        return Kind.GGUF
    if head.startswith(_ARCHIVES) or head[_TAR_MARK] == b"ustar":
        return Kind.ARCHIVE
    return Kind.PICKLE if head.startswith(_PICKLES) else None


def instead_of(kind: Kind, wanted: str, size: int) -> str:
    """The words for a file of `size` bytes that is a `kind`, not what is `wanted`."""
    return say(
        "{kind}, not {wanted} ({size:,} bytes)",
        kind=kind.word,
        wanted=say("the file itself") if kind is Kind.LFS_POINTER else wanted,
        size=size,
    )


def with_kind(told: str, path: Path) -> str:
    """`told (it is: GGUF model)` where a file's first bytes tell; else `told`."""
    file = open_regular(path)
    if isinstance(file, Unavailable):
        return told
    with file:
        kind = recognise(file.read(0, min(HEAD_BYTES, file.size)))
    return say("{told} (it is: {kind})", told=told, kind=kind.word) if kind else told


def require_directory(directory: Path) -> None:
    """Raises `UsageError` where none lies, `Unreadable` for a mount that fails."""
    shown = str(directory)
    try:
        found = is_directory(directory)
    except Unreadable as error:
        if isinstance(error.__cause__, PermissionError):
            raise UsageError(error.message) from error
        raise
    if found is None:
        raise UsageError(
            say("no such directory: {shown}", shown=shown),
            hint=say("give the directory that holds the trained weights"),
        )
    if not found:
        raise UsageError(
            with_kind(say("not a directory: {shown}", shown=shown), directory),
            hint=say("give the directory that holds this file, not the file"),
        )
