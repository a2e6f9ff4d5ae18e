"""One run at a time on this machine for one destination; the kernel frees the lock."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.language import say
from preflight.regular import read_regular
from preflight.system_errors import reason_of

if TYPE_CHECKING:
    from filelock import BaseFileLock

_log = logging.getLogger(__name__)


@contextmanager
def only_run(state: Path | Unavailable, what: str) -> Iterator[None]:
    """Hold the lock on `what`, such as endpoint and destination, below `state`.

    It dies with its process, however that ends. Where no lock can be had, as on some
    network file systems, the run goes on with a warning: it is right without, too.
    Raises `UsageError` naming the process that holds it.
    """
    lock = _taken(state, what)
    try:
        yield
    finally:
        if lock is not None:
            with suppress(OSError):
                lock.release()


def _taken(state: Path | Unavailable, what: str) -> BaseFileLock | None:
    """The lock, held; None where there can be none."""
    from filelock import Timeout

    if isinstance(state, Unavailable):
        _warn(what, state.reason)
        return None
    name = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    path = state / "locks" / f"{name}.lock"
    holder = path.with_suffix(".pid")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(path)
        lock.acquire(timeout=0)
    except Timeout:
        busy = UsageError(
            say(
                "process {holder} is already uploading to {what}",
                holder=_holder(holder),
                what=what,
            ),
            hint=say("wait until it ends; the same command then finds what is done"),
        )
        raise busy from None
    except (OSError, NotImplementedError) as exc:
        reason = reason_of(exc) if isinstance(exc, OSError) else str(exc)
        # Not a reason to stop: where a home has no locks, as on some network mounts,
        # nobody could upload, and the bucket keeps two runs right by itself.
        _warn(what, f"{path.parent}: {reason}")
        return None
    with suppress(OSError):  # a full disk: the lock holds without its holder's name
        holder.write_text(f"{os.getpid()}\n", "ascii")
    return lock


def _warn(what: str, reason: str) -> None:
    _log.warning(
        say("runs cannot be kept apart: %s; start no other to %s before this one ends"),
        reason,
        what,
    )


def _lock(path: Path) -> BaseFileLock:
    """A lock of the kernel, never a file that a killed run would leave behind."""
    from filelock import FileLock

    try:
        return FileLock(path, mode=0o600, fallback_to_soft=False)
    except TypeError:  # older releases know no other kind
        return FileLock(path, mode=0o600)


def _holder(path: Path) -> str:
    try:
        return read_regular(path).decode("ascii").strip("\0 \n") or "unknown"
    except (OSError, ValueError):
        return "unknown"
