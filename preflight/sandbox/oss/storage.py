"""Bytes on disk: each body that arrives is one file; an object is a row of such files.

With `digests` only the first bytes of large bodies are kept, so that an upload of any
size can be rehearsed on a small disk, and file headers can still be read back.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from preflight.crc import crc64
from preflight.sandbox.oss.errors import ContentNotKept

SMALL = 1 << 20  # bytes: with digests, bodies up to this are kept whole
HEAD = 16 << 20  # bytes: and so much of the beginning of larger ones
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Received:
    """A body that arrived: its file, of which `kept` bytes are there, and its sums."""

    name: str
    size: int
    kept: int
    crc64: int
    md5: str  # upper-case hex


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes of a file, from `first` on."""

    name: str
    first: int
    length: int


class Reader:
    """Bytes in pieces of at most 1 MiB; its files stay until it is done or closed."""

    def __init__(self, pieces: Iterator[bytes], release: Callable[[], None]) -> None:
        self._pieces, self._release = pieces, release
        self._closed = False

    def __iter__(self) -> Reader:
        """Itself."""
        return self

    def __next__(self) -> bytes:
        """The next piece."""
        try:
            return next(self._pieces)
        except BaseException:  # the end is one, too
            self.close()
            raise

    def close(self) -> None:
        """Read no more; once is enough."""
        if not self._closed:
            self._closed = True
            self._release()


class Storage:
    """A directory of bodies; safe to use from many threads."""

    def __init__(self, directory: Path, *, digests: bool) -> None:
        self._directory = directory
        self._digests = digests
        self._lock = threading.Lock()
        self._readers: Counter[str] = Counter()
        self._doomed: set[str] = set()
        directory.mkdir(parents=True, exist_ok=True)

    def write(
        self, pieces: Iterable[memoryview | bytes], *, offset: int, size: int | None
    ) -> Received:
        """Keep a body that starts at `offset` of its object (as far as one knows).

        `size` is the announced length in bytes. Whatever the pieces raise leaves
        nothing behind.
        """
        name = uuid.uuid4().hex
        path = self._path(name)
        try:
            with path.open("wb", buffering=0) as file:
                limit = self._limit(offset, size)
                return _fill(name, file.fileno(), pieces, limit)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _limit(self, offset: int, size: int | None) -> int | None:
        """How many bytes of a body are kept; None for all."""
        if not self._digests or (size is not None and size <= SMALL):
            return None
        return max(0, HEAD - offset)

    def read(self, spans: Sequence[Span]) -> Reader:
        """The bytes of the spans; files that are removed meanwhile stay until then.

        Raises ContentNotKept if some of them were not kept.
        """
        names = {span.name for span in spans}
        with self._lock:
            self._readers.update(names)
        reader = Reader(self._pieces(spans), lambda: self._let_go(names))
        for span in spans:
            if span.first + span.length > self._path(span.name).stat().st_size:
                reader.close()
                raise ContentNotKept("bytes that were counted only are not kept")
        return reader

    def _pieces(self, spans: Iterable[Span]) -> Iterator[bytes]:
        for span in spans:
            with self._path(span.name).open("rb", buffering=0) as file:
                file.seek(span.first)
                left = span.length
                while left and (piece := file.read(min(_PIECE, left))):
                    left -= len(piece)
                    yield piece

    def _let_go(self, names: Iterable[str]) -> None:
        with self._lock:
            self._readers -= Counter(names)  # which drops those at zero
            gone = {name for name in names if name not in self._readers} & self._doomed
            self._doomed -= gone
        self._unlink(gone)

    def remove(self, names: Iterable[str]) -> None:
        """Forget the files; a reader at work still gets them."""
        gone = set(names)
        with self._lock:
            busy = {name for name in gone if name in self._readers}
            self._doomed |= busy
        self._unlink(gone - busy)

    def remove_all_but(self, is_known: Callable[[str], bool]) -> None:
        """Remove what nothing refers to, as a killed run leaves it behind."""
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if not is_known(entry.name):
                    self._unlink([entry.name])

    def _unlink(self, names: Iterable[str]) -> None:
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / name


def _fill(
    name: str,
    descriptor: int,
    pieces: Iterable[memoryview | bytes],
    limit: int | None,
) -> Received:
    size = crc = kept = 0
    md5 = hashlib.md5(usedforsecurity=False)
    for piece in pieces:
        size += len(piece)
        crc = crc64(piece, crc)
        md5.update(piece)
        room = len(piece) if limit is None else min(len(piece), limit - kept)
        if room:
            _write_all(descriptor, memoryview(piece)[:room])
            kept += room
    return Received(name, size, kept, crc, md5.hexdigest().upper())


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]
