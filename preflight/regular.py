"""Small files of a user, read whole and without ever waiting for one.

A FIFO, a socket or a terminal in a file's place would hang the open or the read: the
kind is looked at first, on the very descriptor that is read then.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from preflight.language import say

LIMIT = 64 << 20  # bytes; what is larger is none of these files
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


def read_regular(path: Path, limit: int = LIMIT) -> bytes:
    """The first `limit` bytes of a regular file; `/dev/null` is an empty one.

    Raises `OSError`, with a `strerror` that says so for anything else than a file.
    """
    descriptor = os.open(path, _FLAGS)
    with os.fdopen(descriptor, "rb", closefd=True) as stream:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            return stream.read(limit)
        if _is_null(found):
            return b""
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        what = say("it is a FIFO, socket or device, not a file")
        raise OSError(errno.EINVAL, what, str(path))


def _is_null(found: os.stat_result) -> bool:
    try:
        return os.path.samestat(found, Path(os.devnull).stat())
    except OSError:
        return False
