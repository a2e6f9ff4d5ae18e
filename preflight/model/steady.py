"""A local file that stays the same while it is read: headers, scan, digest, upload.

What "changed" means is decided here and nowhere else: another size, another
modification time, or gone. Inode numbers do not count, since network and FUSE mounts
give new ones to the same file. A call that fails for another reason (ESTALE after a
failover, EIO, EACCES while a ticket is renewed) says nothing about the bytes: it is
made again for a while, and then it is an error that leaves what was uploaded alone;
a read that ends with EIO is that error at once.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from mmap import mmap
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from preflight.clock import Clock, SystemClock
from preflight.crc import crc64
from preflight.errors import SourceChanged, TransferError
from preflight.findings import Unavailable
from preflight.language import glued, known, say
from preflight.model.holes import extents
from preflight.model.stamp import Stamp
from preflight.retry import Patience, Retry, RetryEvent

T = TypeVar("T")

# Bytes per read, and at most per tally. Measured with 128 KiB to 4 MiB: what is lost to
# a smaller second-level cache is less than what fewer calls gain.
BLOCK = 2 << 20
PATIENCE = 30.0  # seconds; a failover of a file server takes about as long

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
# Of a read: the device or the mount says that it lost these bytes. What a second read
# gives then may be of a page that was never filled, so a person has to look first.
_LOST = frozenset({errno.EIO})
_SPECIAL = say("is a FIFO, socket or device, not a file")
_WAIT = say(
    "let whatever writes to the directory finish, then run the same command again"
)
_MEND = say("see that its disk or mount answers, then run the same command again")

_log = logging.getLogger(__name__)


class Changed(SourceChanged):
    """A file has another size or modification time than before, or is gone.

    `without_name` is the message without the file's name.
    """

    def __init__(self, name: str, what: str) -> None:
        super().__init__(glued(name, " ", what), hint=_WAIT)
        self.without_name = what


class Unreadable(TransferError):
    """The system refused to open or to read a file, again and again.

    `without_name` is the message without the file's name.
    """

    def __init__(
        self, name: str, error: OSError | ValueError | str, *, hint: str = _MEND
    ) -> None:
        self.without_name = error if isinstance(error, str) else cannot_read(error)
        super().__init__(glued(name, " ", self.without_name), hint=hint)


class _Passing(Unreadable):
    """One such refusal, after which it is worth asking again."""


def cannot_read(error: OSError | ValueError) -> str:
    """The phrase for a failed open or read, without the path that Python adds."""
    reason = error.strerror if isinstance(error, OSError) else str(error)
    reason = (reason or type(error).__name__).lower()
    if "null" in reason:  # each version of Python says it in its own way
        reason = say("embedded null byte")
    return say("cannot be read: {reason}", reason=known(reason))


class Calls:
    """The system calls by which files are read; a test may give others that fail."""

    def open(self, path: Path) -> int:
        """A descriptor for reading."""
        # Put in the file's place, a FIFO would hang the open without O_NONBLOCK, and
        # a link could lead to a file that nobody meant to send.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
        return os.open(path, flags)

    def stat(self, path: Path) -> os.stat_result:
        """What lies at a path, links followed."""
        return path.stat()

    def fstat(self, descriptor: int) -> os.stat_result:
        """What a descriptor leads to."""
        return os.fstat(descriptor)

    def look(self, path: Path) -> tuple[int, os.stat_result]:
        """A descriptor, and what it leads to."""
        descriptor = self.open(path)
        try:
            return descriptor, self.fstat(descriptor)
        except OSError:
            os.close(descriptor)
            raise

    def read(self, descriptor: int, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; how many bytes came, 0 at the end."""
        return os.preadv(descriptor, [view], offset)


@dataclass(frozen=True, slots=True)
class Access:
    """How files are read: a call that fails is made again for so many `seconds`.

    `final` are the error numbers after which it is not.
    """

    seconds: float = PATIENCE
    clock: Clock = field(default_factory=SystemClock)
    calls: Calls = field(default_factory=Calls)
    final: frozenset[int] = frozenset()

    def persist(
        self,
        call: Callable[[], T],
        name: str,
        *,
        final: frozenset[int] = frozenset(),
    ) -> T:
        """The result of `call`; raises `Changed` or `Unreadable` in its stead.

        `final` are error numbers that end it at once, beside those of `self`.
        """

        def once() -> T:
            try:
                return call()
            except OSError as error:
                if error.errno in _GONE:
                    raise Changed(name, _gone(error)) from error
                is_final = error.errno in self.final | final
                kind = Unreadable if is_final else _Passing
                raise kind(name, error) from error

        retry = Retry(
            attempts=None,
            base=0.05,
            cap=1.0,
            patience=Patience(self.seconds, self.clock),
            on=_Passing,
            clock=self.clock,
            jitter=lambda: 1.0,
            on_retry=_tell,
        )
        return retry.call(once)


def _gone(error: OSError) -> str:
    return say("is a link now") if error.errno == errno.ELOOP else say("is gone")


def _tell(event: RetryEvent) -> None:
    """Of the first failure a person hears, of the others the log."""
    level = logging.WARNING if event.number == 1 else logging.INFO
    _log.log(level, say("%s; trying again"), event.cause.message)


# What opening a socket says; it is one as long as it is there.
_NO_FILE = frozenset({errno.ENXIO, errno.EOPNOTSUPP})
# A person waits for the answer of a check, and a file that was never open may well
# belong to somebody else.
INSPECTING = Access(
    seconds=2.0,
    # No time makes a name shorter, either.
    final=frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}) | _NO_FILE,
)


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a file from `offset` on; the next block uses the same memory."""

    offset: int
    data: memoryview


class SteadyFile:
    """An open regular file and the stamp that it had; safe to read from threads.

    All that reads raises `Changed` for a file that is not what it was, and
    `Unreadable` when the system refuses it for longer than `access` allows.
    """

    def __init__(
        self, path: Path, name: str, stamp: Stamp, descriptor: int, access: Access
    ) -> None:
        self.name, self.stamp = name, stamp
        self._path, self._descriptor, self._access = path, descriptor, access
        self._calls, self._lock = access.calls, threading.Lock()

    @property
    def size(self) -> int:
        """How many bytes the file had when it was opened."""
        return self.stamp.size

    def __enter__(self) -> SteadyFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        """A path of this very file for a library, whatever lies at its name by now."""
        held = Path(f"/proc/self/fd/{self._descriptor}")
        return held if held.exists() else self._path

    def close(self) -> None:
        """Close the descriptor; nothing can be read any more."""
        os.close(self._descriptor)

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill `view` from `offset`; how many bytes came, never 0."""
        count = self._access.persist(
            lambda: self._read_once(view, offset), self.name, final=_LOST
        )
        if count == 0:
            told = say(
                "ended after {offset:,} of {size:,} bytes: it shrank",
                offset=offset,
                size=self.size,
            )
            raise Changed(self.name, told)
        return count

    def _read_once(self, view: memoryview, offset: int) -> int:
        try:
            return self._calls.read(self._descriptor, view, offset)
        except OSError as error:
            if error.errno in _LOST:
                raise
            # A handle that a file server forgot never works again: take a new one.
            self._renew()
            return self._calls.read(self._descriptor, view, offset)

    def _renew(self) -> None:
        """Open the path anew under the same number, which other threads go on using."""
        fresh, found = self._calls.look(self._path)
        try:
            if not _is(found, self.stamp):
                raise Changed(self.name, say("changed while it was read"))
            with self._lock:
                os.dup2(fresh, self._descriptor, inheritable=False)
        finally:
            os.close(fresh)

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset` on."""
        buffer, done = bytearray(count), 0
        while done < count:
            done += self.read_into(memoryview(buffer)[done:], offset + done)
        return bytes(buffer)

    def blocks(self, block: int = BLOCK) -> Iterator[Block]:
        """All bytes in order, `block` at a time; holes are not read from the disk.

        Raises `Changed` at the end, too, unless the file is still what it was.
        """
        # An anonymous map begins on a page: the kernel copies into memory that does in
        # half the time that it takes to fill a bytearray, which begins 16 bytes later.
        buffer, zeros = memoryview(mmap(-1, block)), memoryview(bytes(block))
        for extent in extents(self._descriptor, self.size):
            at = extent.start
            while at < extent.stop:
                length = min(block, extent.stop - at)
                if not extent.hole:
                    length = self.read_into(buffer[:length], at)
                yield Block(at, (zeros if extent.hole else buffer)[:length])
                at += length
        self.check_unchanged()

    def crc(self, *, on_block: Callable[[int, memoryview], None] | None = None) -> int:
        """The CRC-64 of the whole file, read once; `on_block` sees each block."""
        total = 0
        for block in self.blocks():
            total = crc64(block.data, total)
            if on_block is not None:
                on_block(block.offset, block.data)
        return total

    def check_unchanged(self) -> None:
        """Raise `Changed` unless file and path are still what was opened."""
        stats: tuple[Callable[[], os.stat_result], ...] = (
            self._stat_descriptor,
            lambda: self._calls.stat(self._path),
        )
        for ask in stats:
            if not _is(self._access.persist(ask, self.name), self.stamp):
                raise Changed(self.name, say("changed while it was read"))

    def _stat_descriptor(self) -> os.stat_result:
        try:
            return self._calls.fstat(self._descriptor)
        except OSError:
            self._renew()
            return self._calls.fstat(self._descriptor)


def _is(found: os.stat_result, stamp: Stamp) -> bool:
    return stat.S_ISREG(found.st_mode) and Stamp.of(found).fits(stamp)


def open_regular(
    path: Path, name: str = "", access: Access = INSPECTING
) -> SteadyFile | Unavailable:
    """A regular file, open for reading; the caller closes it. `name` is for messages.

    A FIFO or a device is refused without waiting for it. The reason is a phrase that
    follows the file's name.
    """
    name = name or path.name
    try:
        real = Path(os.path.realpath(path))
        descriptor, found = access.persist(lambda: access.calls.look(real), name)
    except (Changed, Unreadable) as error:
        return Unavailable(_why_not(path, error))
    except ValueError as error:  # a null byte in the path
        return Unavailable(cannot_read(error))
    if stat.S_ISREG(found.st_mode):
        return SteadyFile(real, name, Stamp.of(found), descriptor, access)
    os.close(descriptor)
    if stat.S_ISDIR(found.st_mode):
        return Unavailable(say("is a directory, not a file"))
    return Unavailable(_SPECIAL)


def _why_not(path: Path, error: Changed | Unreadable) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _NO_FILE:
        return _SPECIAL
    if isinstance(cause, FileNotFoundError):
        if path.is_symlink():
            return say("is a link to nothing")
        return say("does not exist")
    return cannot_read(cause) if isinstance(cause, OSError) else error.without_name


def open_steady(
    path: Path, name: str, stamp: Stamp, access: Access | None = None
) -> SteadyFile:
    """A file that was looked at before, as it was then; the caller closes it.

    `path` is the file itself and no link to it. Raises `Changed` when it is gone, no
    regular file any more, or has another stamp; `Unreadable` when the system refuses
    it for longer than `access` allows.
    """
    access = access or Access()
    descriptor, found = access.persist(lambda: access.calls.look(path), name)
    if not _is(found, stamp):
        os.close(descriptor)
        raise Changed(name, say("changed since the directory was checked"))
    return SteadyFile(path, name, stamp, descriptor, access)


def check_steady(
    path: Path, name: str, stamp: Stamp, access: Access | None = None
) -> None:
    """Raise what `open_steady` raises, without opening the file."""
    access = access or Access()
    if not _is(access.persist(lambda: access.calls.stat(path), name), stamp):
        raise Changed(name, say("changed since the directory was checked"))
