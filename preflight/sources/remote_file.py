"""One object of a bucket as an open file: ranges of one state of it, and all of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from preflight.crc import combine_all, crc64
from preflight.errors import VerificationFailed
from preflight.language import say
from preflight.model.source import OnBytes
from preflight.model.steady import Changed, Unreadable
from preflight.oss.errors import Missing, Superseded
from preflight.oss.inspector import BucketInspector, Stored
from preflight.oss.models import Read, Span

_Sink = Callable[[int, bytes], None]

PART = 8 << 20  # bytes of a stretch that one connection reads when all are read
STREAMS = 8  # connections that read them
_SEALED = say(
    "was encrypted before it was uploaded, so that nobody can read it without the "
    "uploader's key"
)
_PLAIN = say(
    "upload it without client-side encryption; OSS can encrypt it at rest instead"
)


def fetched(bucket: BucketInspector, stored: Stored, start: int, count: int) -> bytes:
    """`count` bytes of an object, as it was listed.

    Raises `Changed` where it is another one now, or gone, `Unreadable` for one that
    was encrypted by whoever uploaded it, and what the client raises.
    """
    buffer = bytearray(count)

    def sink(at: int, piece: bytes) -> None:
        buffer[at - start : at - start + len(piece)] = piece

    if count:
        _read(bucket, Span(stored.key, start, count, stored.etag), sink)
    return bytes(buffer)


def _read(bucket: BucketInspector, span: Span, sink: _Sink) -> Read:
    name = span.key.rpartition("/")[2] or span.key
    try:
        read = bucket.read(span, sink)
    except Missing as error:
        raise Changed(name, say("was deleted while it was read")) from error
    except Superseded as error:
        raise Changed(name, say("changed while it was read")) from error
    if read.sealed:
        raise Unreadable(name, _SEALED, hint=_PLAIN)
    return read


class RemoteFile:
    """An object as it was listed; `head` holds its first bytes, or soon will."""

    def __init__(
        self,
        bucket: BucketInspector,
        stored: Stored,
        name: str,
        head: Future[bytes] | None = None,
    ) -> None:
        self.name = name
        self._bucket, self._stored, self._head = bucket, stored, head

    @property
    def size(self) -> int:
        """How many bytes it had when the prefix was listed."""
        return self._stored.size

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes from `offset` on."""
        head = self._head.result() if self._head is not None else b""
        data = head[offset : offset + count]
        if len(data) < count:
            at = offset + len(data)
            data += fetched(self._bucket, self._stored, at, count - len(data))
        return data

    def crc(self, *, on_block: OnBytes | None = None) -> int:
        """The CRC-64 of all bytes, which must be the one that OSS has of the object.

        They are read over several connections. Raises `VerificationFailed` where it is
        another one, as of bytes that were damaged on their way.
        """
        spans = [
            Span(self._stored.key, at, min(PART, self.size - at), self._stored.etag)
            for at in range(0, self.size, PART)
        ]
        take = partial(self._part, on_block)
        with ThreadPoolExecutor(STREAMS, thread_name_prefix="scan") as pool:
            parts = [pool.submit(take, span) for span in spans]
            try:
                done = [part.result() for part in parts]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        total = combine_all((each.crc, each.span.count) for each in done)
        for each in done:
            if each.stored_crc not in (None, total):
                raise VerificationFailed(
                    say(
                        "{name}: the bytes that came have CRC-64 {total:016x}, the "
                        "object has {stored_crc:016x}",
                        name=self.name,
                        total=total,
                        stored_crc=each.stored_crc,
                    ),
                    hint=say("run it again; a proxy may damage what passes through it"),
                )
        return total

    def _part(self, on_block: OnBytes | None, span: Span) -> _Part:
        part = _Part(span, on_block)
        read = _read(self._bucket, span, part.take)
        part.stored_crc = read.crc64
        return part

    def check_unchanged(self) -> None:
        """Every range was asked for of one state of the object: nothing to do."""

    def close(self) -> None:
        """There is nothing that would be open."""


class _Part:
    """A stretch that is read, maybe several times; `on_block` sees each byte once."""

    def __init__(self, span: Span, on_block: OnBytes | None) -> None:
        self.span, self._on_block = span, on_block
        self.crc = 0
        self.stored_crc: int | None = None
        self._seen = span.start

    def take(self, at: int, piece: bytes) -> None:
        """The next bytes of an attempt."""
        if at == self.span.start:  # a first attempt, or one from the beginning
            self.crc = 0
        self.crc = crc64(piece, self.crc)
        fresh = memoryview(piece)[max(0, self._seen - at) :]
        if fresh and self._on_block is not None:
            self._on_block(at + len(piece) - len(fresh), fresh)
        self._seen = max(self._seen, at + len(piece))
