"""Bytes on disk: each body is one file; an object is a row of such files.

Completing an upload copies nothing: the parts' files become the object's extents.
With `digests` only the first bytes of large bodies are kept, so that an upload of any
size can be rehearsed on a small disk, and file headers can still be read back.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from preflight.crc import combine_all, crc64
from preflight.sandbox.oss.errors import ContentNotKept

SMALL = 1 << 20  # bytes: with digests, bodies up to this are kept whole
HEAD = 16 << 20  # bytes: and so much of the beginning of larger ones
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Extent:
    """One file of the store; `kept` of its `size` bytes are really there."""

    name: str
    size: int
    kept: int


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a part or an object; `md5` is empty for a joined one."""

    size: int
    crc64: int
    md5: str
    extents: tuple[Extent, ...]


def join(contents: Iterable[Content]) -> Content:
    """One content laid end to end; no byte is read."""
    parts = tuple(contents)
    return Content(
        size=sum(part.size for part in parts),
        crc64=combine_all((part.crc64, part.size) for part in parts),
        md5="",
        extents=tuple(extent for part in parts for extent in part.extents),
    )


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
    ) -> Content:
        """Keep a body that starts at `offset` of its object (as far as one knows).

        `size` is the announced length in bytes. Whatever the pieces raise leaves
        nothing behind.
        """
        name = uuid.uuid4().hex
        path = self._path(name)
        try:
            with path.open("wb", buffering=0) as file:
                return self._fill(
                    name, file.fileno(), pieces, self._limit(offset, size)
                )
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def _limit(self, offset: int, size: int | None) -> int | None:
        """How many bytes of a body are kept; None for all."""
        if not self._digests or (size is not None and size <= SMALL):
            return None
        return max(0, HEAD - offset)

    def _fill(
        self,
        name: str,
        descriptor: int,
        pieces: Iterable[memoryview | bytes],
        limit: int | None,
    ) -> Content:
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
        extent = Extent(name, size, kept)
        return Content(size, crc, md5.hexdigest().upper(), (extent,))

    def read(self, content: Content, start: int, length: int) -> Iterator[bytes]:
        """The bytes from `start` on, in pieces of at most 1 MiB.

        Raises ContentNotKept before the first piece if some of them were not kept.
        """
        spans = tuple(_spans(content, start, length))
        for extent, first, count in spans:
            if first + count > extent.kept:
                raise ContentNotKept(f"bytes {start} to {start + length} are not kept")
        return self._pieces(content, spans)

    def _pieces(
        self, content: Content, spans: Iterable[tuple[Extent, int, int]]
    ) -> Iterator[bytes]:
        with self._held(content):
            for extent, first, count in spans:
                with self._path(extent.name).open("rb", buffering=0) as file:
                    file.seek(first)
                    left = count
                    while left and (piece := file.read(min(_PIECE, left))):
                        left -= len(piece)
                        yield piece

    @contextmanager
    def _held(self, content: Content) -> Iterator[None]:
        """Files that are removed meanwhile stay until the reader is done."""
        names = [extent.name for extent in content.extents]
        with self._lock:
            self._readers.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._readers.subtract(names)
                gone = [n for n in names if n in self._doomed and not self._readers[n]]
                self._doomed.difference_update(gone)
            self._unlink(gone)

    def remove(self, content: Content) -> None:
        """Forget the bytes; a reader at work still gets them."""
        names = [extent.name for extent in content.extents]
        with self._lock:
            busy = {name for name in names if self._readers[name] > 0}
            self._doomed |= busy
        self._unlink([name for name in names if name not in busy])

    def remove_all_but(self, contents: Iterable[Content]) -> None:
        """Remove what nothing refers to, as a killed run leaves it behind."""
        known = {extent.name for item in contents for extent in item.extents}
        self._unlink([n for n in os.listdir(self._directory) if n not in known])  # noqa: PTH208

    def _unlink(self, names: Iterable[str]) -> None:
        for name in names:
            self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / name


def _spans(
    content: Content, start: int, length: int
) -> Iterator[tuple[Extent, int, int]]:
    """The pieces (file, first byte in it, bytes) that make up a range."""
    position, end = 0, start + length
    for extent in content.extents:
        first, last = max(start, position), min(end, position + extent.size)
        if first < last:
            yield extent, first - position, last - first
        position += extent.size


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]
