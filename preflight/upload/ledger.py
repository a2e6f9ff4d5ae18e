"""Marks that the tasks of one push leave for each other: in the bucket, and unseen.

The ledger is a multipart upload of a key that never becomes an object. A mark is a
part of it: task n writes part n + 1, and any task the part that says that all is over.
A part cannot be read back, but its sum is listed: whoever can write the same text knows
whether it is there. So a mark is a statement that others hold against what they see
themselves. The ledger is aborted before anything becomes visible.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from preflight.crc import crc64
from preflight.errors import PreflightError
from preflight.oss.body import BytesBody
from preflight.oss.client import BucketClient
from preflight.oss.models import Part, PendingUpload
from preflight.tasks import MOST, Task
from preflight.upload.plan import UploadItem

LEDGER = ".preflight-share"  # the name of its key below a destination
_OVER = MOST + 1  # the part that says that all is over
_SECOND = 10**9  # nanoseconds

NONE = "-"
"""Instead of the id of an upload: the file lies there as an object already."""

HERE, GONE = "working", "gone"
"""What a task says of itself: it has begun, or it ended without its share."""
_NONCE = 8  # bytes, random: what was said in an earlier run is not said anew
_SIZES = {len(word) + 1 + 2 * _NONCE: word for word in (HERE, GONE)}


@dataclass(frozen=True, slots=True)
class Agreed:
    """What all tasks must see alike: the files, how many tasks, and the uploads.

    `ids` holds the upload of each file by name, or `NONE`; `terms` by which rules the
    values are judged.
    """

    items: tuple[UploadItem, ...]
    ids: Mapping[str, str]
    count: int
    terms: str

    def begun(self) -> str:
        """The mark of the publishing task: all uploads are begun, and no others."""
        return _joined("begun", *self._lines())

    def right(self, rank: int, parts: Mapping[str, Iterable[Part]]) -> str:
        """The mark of a task: these of its parts are right, and so are their values.

        `parts` by the names of files. Sizes and times of the files are part of it, as
        it outlasts the run: another training's files must not pass for these.
        """
        held = (
            f"{name} {part.number} {part.etag.strip(chr(34)).upper()}"
            for name in sorted(parts)
            for part in sorted(parts[name], key=lambda part: part.number)
        )
        return _joined(f"right {rank}", *self._lines(), *held)

    def _lines(self) -> list[str]:
        return [f"{self.count} tasks", self.terms, *map(self._line, self.items)]

    def _line(self, item: UploadItem) -> str:
        # Some mounts show the fraction of a second on one machine and not on another.
        moment = item.mtime_ns // _SECOND
        return f"{item.name} {item.size} {moment} {self.ids.get(item.name, NONE)}"


def _joined(*lines: str) -> str:
    return "\n".join(("preflight share", *lines))


def ledger_key(prefix: str) -> str:
    """The key of the ledger below a destination's prefix."""
    return prefix + LEDGER


@dataclass(frozen=True, slots=True)
class Marks:
    """What is in a ledger, by part number."""

    parts: Mapping[int, Part]

    def says(self, rank: int, text: str) -> bool:
        """Whether the last mark of a task is this text."""
        return self._is(rank + 1, text)

    def has(self, rank: int) -> bool:
        """Whether a task left any mark."""
        return rank + 1 in self.parts

    def word(self, rank: int) -> str:
        """What a task says of itself, by how long it is; empty when it is no word."""
        return _SIZES.get(self.parts[rank + 1].size, "") if self.has(rank) else ""

    def is_awaited(self, rank: int) -> bool:
        """Whether a task may still come, or is at work."""
        return not self.has(rank) or self.word(rank) == HERE

    def over(self) -> int | None:
        """The task that says that all is over, if one does."""
        if _OVER not in self.parts:
            return None
        return next((n for n in range(MOST) if self._is(_OVER, _over(n))), 0)

    def _is(self, number: int, text: str) -> bool:
        part, data = self.parts.get(number), text.encode("utf-8", "surrogateescape")
        if part is None or part.size != len(data):
            return False
        if part.crc64 is not None:
            return part.crc64 == crc64(data)
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return part.etag.strip('"').upper() == digest.upper()


def _over(rank: int) -> str:
    return f"over {rank}"


@dataclass(frozen=True, slots=True)
class Ledger:
    """One ledger; its calls raise `Missing` when somebody aborted it."""

    client: BucketClient
    upload: PendingUpload

    @classmethod
    def begin(cls, client: BucketClient, prefix: str) -> Ledger:
        """A new one."""
        key = ledger_key(prefix)
        return cls(client, PendingUpload(key, client.initiate(key)))

    def mark(self, task: Task, text: str) -> None:
        """Leave a mark instead of the task's last one."""
        self._put(task.rank + 1, text)

    def tell(self, task: Task, word: str) -> None:
        """Leave `HERE` or `GONE` as the mark of a task."""
        self.mark(task, f"{word} {secrets.token_hex(_NONCE)}")

    @contextmanager
    def working(
        self, task: Task, every: float, steps: Callable[[], int]
    ) -> Iterator[None]:
        """Say anew all `every` seconds, while the block runs, that a task is at work.

        What it does may change nothing in the bucket for long, such as comparing. It is
        only said when `steps` has changed: of what hangs others must not think so.
        """
        over = threading.Event()

        def beat() -> None:
            said = steps()
            while not over.wait(every):
                now = steps()
                if now != said:
                    said = now
                    with suppress(PreflightError):
                        self.tell(task, HERE)

        self.tell(task, HERE)
        thread = threading.Thread(target=beat, name="working", daemon=True)
        with suppress(RuntimeError):  # "can't start new thread": it was said once
            thread.start()
        try:
            yield
        finally:
            over.set()
            if thread.ident is not None:
                thread.join()

    def end(self, task: Task) -> None:
        """Say to all that it is over: the task found what would not import."""
        self._put(_OVER, _over(task.rank))

    def _put(self, number: int, text: str) -> None:
        data = text.encode("utf-8", "surrogateescape")
        key, upload_id = self.upload.key, self.upload.upload_id
        self.client.upload_part(key, upload_id, number, lambda: BytesBody(data))

    def marks(self) -> Marks:
        """All marks as they are now."""
        found = self.client.list_parts(self.upload.key, self.upload.upload_id)
        return Marks({part.number: part for part in found})

    def abort(self) -> None:
        """Take it away; one that is gone is fine."""
        self.client.abort(self.upload.key, self.upload.upload_id)
