"""A model that lies under a prefix of a bucket, read in ranges and in parallel.

Every range is asked for of the very state of the object that the listing showed, so
that no inspection is put together from two of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO

from preflight.catalog.service import is_importable_class
from preflight.destination import Destination
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.files import MAX_FILES, FileEntry, FileKind, Walk
from preflight.model.location import Location
from preflight.model.source import Soon
from preflight.oss.errors import PermissionMissing
from preflight.oss.inspector import BucketInspector, Stored
from preflight.sources.remote_file import RemoteFile, fetched

WORKERS = 32  # answers that are waited for at the same time
_SMALL = 16 << 20  # bytes; what is larger is not read whole


class BucketPrefix:
    """The files below a prefix; used in a `with` block, which ends what was begun.

    `reads_values`: whether values may be looked at before the scan asks for them.
    """

    def __init__(
        self,
        bucket: BucketInspector,
        destination: Destination,
        *,
        reads_values: bool = False,
    ) -> None:
        self.reads_values = reads_values
        self.destination = destination
        self.stored: Mapping[str, Stored] = {}
        self._bucket = bucket
        self._heads: dict[str, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="read")

    def __enter__(self) -> BucketPrefix:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    @property
    def location(self) -> Location:
        """The prefix; a copy would be called by its last part."""
        name = PurePosixPath(self.destination.prefix).name
        return Location(Path(name), self.destination.url)

    def walk(self) -> Walk:
        """One entry for each object, and one for each folder that a key implies.

        Raises `UsageError` where nothing lies under the prefix, and what the client
        raises.
        """
        prefix = self.destination.prefix
        self.stored = self._bucket.snapshot(prefix)
        if not self.stored and self._bucket.head(prefix) is None:
            raise UsageError(
                say("nothing lies under {url}", url=self.destination.url),
                hint=say("name the prefix that holds the model's files"),
            )
        entries: dict[str, FileEntry] = {}
        for each in self.stored.values():
            name = each.key.removeprefix(prefix)
            for folder in _folders(name):
                entries.setdefault(
                    folder, FileEntry(folder, Path(folder), FileKind.DIRECTORY)
                )
            if not (name.endswith("/") and each.size == 0):  # a folder's marker
                entries[name] = _entry(name, each)
        ordered = sorted(entries.values(), key=lambda entry: entry.name)
        kept = tuple(ordered[:MAX_FILES])
        return Walk(kept, complete=len(kept) == len(ordered))

    def above(self) -> tuple[str, ...]:
        """The names beside the prefix's own, a page of them; none if not allowed."""
        parent = self.destination.prefix[:-1].rpartition("/")[0]
        if not parent:
            return ()
        try:
            names = self._bucket.names(f"{parent}/")
        except PermissionMissing:
            return ()
        return tuple(f"../{name}" for name in names)

    def expect(self, wanted: Iterable[Soon]) -> None:
        """Begin to fetch them, all at the same time."""
        for soon in wanted:
            entry = soon.entry
            count = entry.size if soon.first is None else min(soon.first, entry.size)
            if _why_not(entry) or not count or count > _SMALL:
                continue
            self._heads[entry.name] = self._pool.submit(self._head, soon, count)

    def _head(self, soon: Soon, count: int) -> bytes:
        state = self._state(soon.entry)
        data = fetched(self._bucket, state, 0, count)
        more = min(soon.needs(data), soon.entry.size) - len(data)
        return data + (fetched(self._bucket, state, count, more) if more > 0 else b"")

    def _state(self, entry: FileEntry) -> Stored:
        return self.stored[self.destination.key(entry.name)]

    def open(self, entry: FileEntry) -> RemoteFile | Unavailable:
        """An object of a class that can be read."""
        if reason := _why_not(entry):
            return Unavailable(reason)
        return self.reopen(entry)

    def reopen(self, entry: FileEntry) -> RemoteFile:
        """The same: nothing is asked before something is read."""
        head = self._heads.get(entry.name)
        return RemoteFile(self._bucket, self._state(entry), entry.name, head)

    @contextmanager
    def as_path(self, entry: FileEntry, head: int) -> Iterator[Path]:
        """A file in memory that begins as the object does, and is zero after that."""
        data = self.reopen(entry).read(0, head)
        with _stand_in() as (file, path):
            file.write(data)
            file.flush()
            file.truncate(entry.size)
            yield path


@contextmanager
def _stand_in() -> Iterator[tuple[IO[bytes], Path]]:
    """A file and its path; it takes no room on a disk, where the system has such."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("preflight")
        with os.fdopen(descriptor, "w+b") as file:
            yield file, Path(f"/proc/self/fd/{descriptor}")
        return
    with tempfile.NamedTemporaryFile(prefix="preflight-") as named:
        yield named, Path(named.name)


def _folders(name: str) -> Iterator[str]:
    """The folders that a key implies, the outermost first."""
    at = name.find("/")
    while at > 0:
        yield name[:at]
        at = name.find("/", at + 1)


def _entry(name: str, stored: Stored) -> FileEntry:
    return FileEntry(
        name,
        Path(name.replace("\0", "")),
        FileKind.FILE,
        size=stored.size,
        mtime_ns=stored.modified * 1_000_000_000,
        storage_class=stored.storage_class,
    )


def _why_not(entry: FileEntry) -> str:
    """Why an object cannot be read, as a phrase that follows its name; or nothing."""
    if not entry.is_file:
        return say("is a {kind}, not a file", kind=entry.kind.value)
    if not is_importable_class(entry.storage_class):
        return say(
            "is of storage class {kind}, which cannot be read before it is restored",
            kind=entry.storage_class,
        )
    return ""
