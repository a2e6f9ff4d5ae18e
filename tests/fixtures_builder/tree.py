"""What a directory holds, in a form that two directories can be compared by."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def _content(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link to {path.readlink()}"
    if not stat.S_ISREG(mode):
        return f"mode {stat.S_IFMT(mode):o}"
    found = path.stat()
    if not os.access(path, os.R_OK):
        return f"{stat.S_IMODE(mode):o} unreadable"
    if found.st_blocks * 512 < found.st_size // 2:  # mostly hole: gigabytes of zeros
        with path.open("rb") as file:
            head = file.read(1 << 16)
        return f"{found.st_size} {hashlib.sha256(head).hexdigest()}"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{stat.S_IMODE(mode):o} {digest}"


def tree(directory: Path) -> dict[bytes, str]:
    """Each entry's name and what it is: a hash, a link's target or a kind of file."""
    found = {}
    for folder, folders, files in os.walk(directory):
        for name in (*folders, *files):
            path = Path(folder) / name
            found[os.fsencode(path.relative_to(directory))] = _content(path)
    return found


def disk_usage(directory: Path) -> int:
    """Bytes that the files really take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in directory.iterdir())
