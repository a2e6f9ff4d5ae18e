"""A fast, neutral place to send to: it speaks OSS, sums every byte and keeps none.

    python -m tests.benchmarks.sink [--bandwidth 60e6] [--latency 0.03] [--seconds 600]
        [--total 100e6] [--then BYTES BANDWIDTH LATENCY] [--tls PEM]

It prints its port and lives until its standard input closes, at most `--seconds`.
Every PUT is answered with the CRC-64 of what really came, so that a client's own
verification runs. Signatures are not looked at. It listens on loopback only.
"""

from __future__ import annotations

import argparse
import base64
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from preflight.crc import crc64
from tests.benchmarks.sink_store import Answer, Digest, Request, Store, refusal

BLOCK = 128 << 10  # bytes taken from a socket at once; they stay in the cache
MAX_HEAD = 64 << 10


@dataclass(frozen=True, slots=True)
class Link:
    """What lies between client and sink: bytes/s per connection (0: no limit) and
    seconds before each answer; `total` bytes/s in all, above which it says 503."""

    bandwidth: float = 0.0
    latency: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """After so many bytes the link is another one."""

    after: float
    link: Link


class Way:
    """The link as it is at the moment, for all connections."""

    def __init__(self, link: Link, change: Change | None = None) -> None:
        self.link, self._change = link, change
        self._lock = threading.Lock()
        self._passed = 0
        self._allowed, self._counted = link.total, time.monotonic()

    def passed(self, count: int) -> None:
        """So many more bytes came through."""
        with self._lock:
            self._passed += count
            if self._change and self._passed >= self._change.after:
                self.link, self._change = self._change.link, None

    def takes(self, count: int) -> bool:
        """Whether a body of `count` bytes is within what the service takes in all."""
        with self._lock:
            total = self.link.total
            if not total:
                return True
            now = time.monotonic()
            earned = (now - self._counted) * total
            self._allowed, self._counted = min(total, self._allowed + earned), now
            if self._allowed < 0:
                return False
            self._allowed -= count
            return True


class Reader:
    """The receiving side of one connection."""

    def __init__(self, peer: socket.socket, way: Way) -> None:
        self._peer = peer
        self._way = way
        self._buffer = bytearray(BLOCK)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0  # what of the buffer is not used yet

    def _more(self, limit: int = BLOCK) -> bool:
        """Receive behind what is there; False at the end of the stream."""
        if self._start == self._end:
            self._start = self._end = 0
        space = self._view[self._end : min(BLOCK, self._end + limit)]
        count = self._peer.recv_into(space)
        self._end += count
        return count > 0

    def until(self, mark: bytes) -> bytes:
        """All up to `mark`, which is dropped; empty at the end of the stream."""
        while (at := self._buffer.find(mark, self._start, self._end)) < 0:
            if self._end - self._start > MAX_HEAD:
                raise ConnectionError("a head without an end")
            if BLOCK - self._end < MAX_HEAD:  # move it to the front
                rest = bytes(self._view[self._start : self._end])
                self._buffer[: len(rest)] = rest
                self._start, self._end = 0, len(rest)
            if not self._more():
                return b""
        found = bytes(self._view[self._start : at])
        self._start = at + len(mark)
        return found

    def blocks(self, length: int) -> Iterator[memoryview]:
        """The next `length` bytes as the link lets them through."""
        link, begin, counted, done = self._way.link, time.monotonic(), 0, 0
        while done < length:
            if self._start == self._end and not self._more(length - done):
                raise ConnectionError("the body ends early")
            stop = min(self._end, self._start + length - done)
            block = self._view[self._start : stop]
            self._start = stop
            done += len(block)
            yield block
            self._way.passed(len(block))
            if self._way.link is not link:  # what went before is not made up for
                link, begin, counted = self._way.link, time.monotonic(), done
            if link.bandwidth:
                due = begin + (done - counted) / link.bandwidth
                time.sleep(max(0.0, due - time.monotonic()))

    def chunks(self) -> Iterator[memoryview]:
        """A chunked body."""
        while size := int(self.until(b"\r\n").split(b";")[0] or b"0", 16):
            yield from self.blocks(size)
            self.until(b"\r\n")
        self.until(b"\r\n")


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _digest(blocks: Iterator[memoryview]) -> Digest:
    size = crc = 0
    for block in blocks:
        size += len(block)
        crc = crc64(block, crc)
    return Digest(size, crc)


def _target(target: str) -> tuple[str, str, dict[str, str]]:
    """Bucket, key and query of a path-style request."""
    parts = urlsplit(target)
    bucket, _, key = parts.path.lstrip("/").partition("/")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return unquote(bucket), unquote(key), query


def read_request(reader: Reader) -> Request | None:
    """The next request with its body consumed; None when the client is done."""
    head = reader.until(b"\r\n\r\n").decode("latin-1")
    if not head:
        return None
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    headers = _headers(lines)
    is_chunked = headers.get("transfer-encoding", "").lower() == "chunked"
    length = int(headers.get("content-length") or 0)
    blocks = reader.chunks() if is_chunked else reader.blocks(length)
    bucket, key, query = _target(target)
    if method == "PUT":
        return Request(method, bucket, key, query, _digest(blocks))
    body = b"".join(bytes(block) for block in blocks)
    return Request(method, bucket, key, query, Digest(0, 0), body)


def _encoded(answer: Answer, *, is_head: bool) -> bytes:
    body = answer.body.encode()
    headers = {
        "Server": "sink",
        "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
        "Connection": "keep-alive",
        "x-oss-request-id": "0" * 24,
        "Content-Type": "application/xml",
        "Content-Length": str(len(body)),
        **answer.headers,
    }
    if is_head and body:  # an answer to HEAD has no body to say it in
        headers["x-oss-err"] = base64.b64encode(body).decode()
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(
        [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}", *lines]
    )
    return f"{head}\r\n\r\n".encode() + (b"" if is_head else body)


class Sink:
    """Answers on a socket, one thread for each connection."""

    def __init__(
        self,
        link: Link | None = None,
        change: Change | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.way = Way(link or Link(), change)
        self._tls = tls
        self.store = Store()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])

    def close(self) -> None:
        """Take no more connections."""
        # Closing alone would leave `serve` waiting in accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def serve(self) -> None:
        """Accept until closed."""
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer: socket.socket) -> None:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with closing(peer):
            try:
                if self._tls is not None:
                    peer = self._tls.wrap_socket(peer, server_side=True)
                self._answer_all(peer)
            except (ConnectionError, ssl.SSLError):
                return  # the client went away, as a killed one does

    def _answer_all(self, peer: socket.socket) -> None:
        reader = Reader(peer, self.way)
        with closing(peer):
            while request := read_request(reader):
                peer.sendall(self._reply(request))

    def _reply(self, request: Request) -> bytes:
        if request.method == "PUT" and not self.way.takes(request.digest.size):
            answer = refusal(HTTPStatus.SERVICE_UNAVAILABLE, "SlowDown")
        else:
            answer = self.store.answer(request)
        if answer.status is HTTPStatus.NOT_IMPLEMENTED:
            text = f"sink: {request.method} {request.key} {dict(request.query)}\n"
            sys.stderr.write(text)
        time.sleep(self.way.link.latency)
        return _encoded(answer, is_head=request.method == "HEAD")


def main() -> None:
    """Serve until standard input closes or the time is over."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bandwidth", type=float, default=0.0, help="bytes/s each")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--total", type=float, default=0.0, help="bytes/s in all")
    parser.add_argument(
        "--then",
        type=float,
        nargs=3,
        metavar=("BYTES", "BANDWIDTH", "LATENCY"),
        help="another link after so many bytes",
    )
    parser.add_argument("--tls", type=Path, help="speak https with this certificate")
    parser.add_argument("--seconds", type=float, default=600.0, help="to live at most")
    args = parser.parse_args()
    change = None
    if args.then:
        after, *link = args.then
        change = Change(after, Link(*link))
    tls = None
    if args.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(args.tls)
    sink = Sink(Link(args.bandwidth, args.latency, args.total), change, tls)
    threading.Thread(target=sink.serve, daemon=True).start()
    end = threading.Timer(args.seconds, os._exit, (3,))
    end.daemon = True
    end.start()
    sys.stdout.write(f"{sink.port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
