"""A directory made beside its place, whole, and put there in one step.

Whatever ends a run before that step (Ctrl-C, a kill, a full disk) leaves nothing at the
place. What a killed run leaves is a hidden directory that nobody holds a lock on any
more; the next run removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import filecmp
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from preflight.errors import UsageError
from preflight.language import say
from preflight.model.files import FileEntry
from preflight.model.stamp import Stamp
from preflight.model.steady import SteadyFile, open_steady
from preflight.repair.container import Advance

_MARK = ".preflight-"
_SMALL = 1 << 20  # bytes; smaller files are copied, so that no edit reaches two places
_FICLONE = 0x40049409  # linux/fs.h
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES)


@contextlib.contextmanager
def stage_beside(target: Path) -> Iterator[Path]:
    """A new directory beside `target`, removed in the end unless it was moved away.

    Raises `OSError` where none can be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    stage, lock = _made(target)
    try:
        yield stage
    finally:
        if stage.exists():
            shutil.rmtree(stage, ignore_errors=True)
        os.close(lock)


def _made(target: Path) -> tuple[Path, int]:
    while True:
        stage = target.parent / f".{target.name}{_MARK}{secrets.token_hex(4)}"
        stage.mkdir()
        lock = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # Between the two lines above another run may have taken it for a leftover.
        if _hold(lock) and stage.exists():
            return stage, lock
        os.close(lock)


def _hold(lock: int) -> bool:
    """Take the lock that dies with this process; where there are none, go on."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _remove_leftovers(target: Path) -> None:
    """Remove what runs left that were killed while they made this directory."""
    for left in list(target.parent.iterdir()):
        if not left.name.startswith(f".{target.name}{_MARK}"):
            continue
        with contextlib.suppress(OSError):
            lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if left.name.endswith("-old") and not target.exists():
                    left.rename(target)  # the run died between its two last steps
                else:
                    shutil.rmtree(left)
            finally:
                os.close(lock)


def check_target(target: Path, source: Path) -> None:
    """Raise `UsageError` for a place that cannot become the result."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(
            say("{target} is no directory", target=target),
            hint=say("give -o a new one"),
        )
    real, own = target.resolve(), source.resolve()
    if real == own or own.is_relative_to(real):
        raise UsageError(
            say("the repaired directory cannot be the one that is repaired"),
            hint=say("give -o a directory beside it: the source is never written"),
        )
    if real.is_relative_to(own):
        raise UsageError(
            say(
                "{target} lies within {source}, which is never written",
                target=target,
                source=source,
            ),
            hint=say("give -o a directory beside it"),
        )


def publish(stage: Path, target: Path, *, force: bool) -> bool:
    """Put the stage in its place; False where the very same lies there already.

    Raises `UsageError` where something else lies there, unless `force` replaces it.
    """
    sync_directory(stage)
    if target.exists() and any(target.iterdir()):
        if same_files(stage, target):
            return False
        if not force:
            raise UsageError(
                say("{target} is not empty and holds something else", target=target),
                hint=say("give -o a new directory, or --force to replace it"),
            )
        old = target.parent / f".{target.name}{_MARK}{secrets.token_hex(4)}-old"
        target.rename(old)
        stage.rename(target)
        sync_directory(target.parent)
        shutil.rmtree(old, ignore_errors=True)
        return True
    stage.rename(target)
    sync_directory(target.parent)
    return True


def same_files(one: Path, other: Path) -> bool:
    """Whether two directories hold the same files with the same bytes."""
    names = sorted(entry.name for entry in one.iterdir())
    if names != sorted(entry.name for entry in other.iterdir()):
        return False
    return all(
        (other / name).is_file()
        and filecmp.cmp(one / name, other / name, shallow=False)
        for name in names
    )


def sync_directory(path: Path) -> None:
    """See a directory's entries on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some file systems have no such call
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """A new file, seen on the disk."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def place(entry: FileEntry, path: Path, advance: Advance) -> bool:
    """A file that stays as it is: a clone, a hard link, or else a copy.

    A clone shares the blocks until one of the two is written; a hard link is the same
    file under a second name: only then the answer is True. Raises `Changed`,
    `Unreadable` and `OSError`.
    """
    with open_steady(entry.real_path, entry.name, entry.stamp) as source:
        if entry.size >= _SMALL:
            cloned = _clone(source, path)
            if cloned or _link(entry, path):
                source.check_unchanged()
                advance(entry.size)
                return not cloned
        with path.open("xb") as file:
            for block in source.blocks():
                file.write(block.data)
                advance(len(block.data))
            file.flush()
            os.fsync(file.fileno())
    return False


def _clone(source: SteadyFile, path: Path) -> bool:
    try:
        with source.path.open("rb") as opened, path.open("xb") as file:
            fcntl.ioctl(file.fileno(), _FICLONE, opened.fileno())
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        return False
    return True


def _link(entry: FileEntry, path: Path) -> bool:
    try:
        os.link(entry.real_path, path, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    if not Stamp.of(path.stat()).fits(entry.stamp):
        path.unlink()
        return False
    return True


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write there."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
