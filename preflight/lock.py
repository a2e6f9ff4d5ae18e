"""One run at a time on this machine for one destination; the kernel frees the lock."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from preflight.errors import UsageError

_TAKEN = {errno.EAGAIN, errno.EACCES}

_log = logging.getLogger(__name__)


@contextmanager
def only_run(state: Path, what: str) -> Iterator[None]:
    """Hold the lock on `what`, such as endpoint and destination, below `state`.

    It dies with its process, however that ends. Where no lock can be had, as on some
    network file systems, the run goes on with a warning: it is right without, too.
    Raises `UsageError` naming the process that holds it.
    """
    descriptor = _open(state / "locks", what)
    try:
        if descriptor is not None:
            _take(descriptor, what)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _open(directory: Path, what: str) -> int | None:
    name = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    # The file stays: to remove it would let two runs lock two files of one name.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return os.open(directory / f"{name}.lock", flags, 0o600)
    except OSError as exc:
        _log.warning("runs cannot be kept apart: %s: %s", directory, exc.strerror)
        return None


def _take(descriptor: int, what: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        if exc.errno not in _TAKEN:
            _log.warning("runs cannot be kept apart: %s", exc.strerror)
            return
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        raise UsageError(
            f"process {holder or 'unknown'} is already uploading to {what}",
            hint="wait until it ends; the same command then finds what is done",
        ) from exc
    with suppress(OSError):  # a full disk: the lock holds without its holder's name
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
