"""Directories put into the sandbox's bucket as they are, times included."""

from __future__ import annotations

import os
from pathlib import Path

from preflight.sandbox import Sandbox


def put(box: Sandbox, key: str, data: bytes) -> None:
    """Store one object."""
    box.oss.put(box.bucket, key, [data], size=len(data))


def can_be_stored(directory: Path) -> bool:
    """Whether it holds files and folders alone, under names that keys can have."""
    for path in directory.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            return False
        if not path.name.isprintable() or "\\" in path.name:
            return False
    return True


def store(box: Sandbox, directory: Path, prefix: str) -> str:
    """Put all files below `directory` under the prefix; the prefix as a URL.

    An object is as old as its file, which is given a time of whole seconds, and an
    empty folder becomes its marker, as the console makes it.
    """
    now = box.oss.clock
    try:
        for path in sorted(directory.rglob("*")):
            moment = int(path.stat().st_mtime)  # OSS keeps whole seconds
            os.utime(path, (moment, moment))
            box.oss.clock = lambda moment=moment: moment  # type: ignore[misc]
            key = f"{prefix}{path.relative_to(directory).as_posix()}"
            if path.is_file():
                put(box, key, path.read_bytes())
            elif not any(path.iterdir()):
                put(box, f"{key}/", b"")
    finally:
        box.oss.clock = now
    return f"oss://{box.bucket}/{prefix}"
