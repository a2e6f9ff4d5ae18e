"""The practical limit in Python: pread and sendall on plain sockets, nothing else.

Each file goes up as HTTP PUT requests of one piece each. No checksum, no signature.
To an https endpoint the sockets are those of `ssl`, with its own defaults.
"""

from __future__ import annotations

import argparse
import os
import queue
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from mmap import mmap
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.told import time_and_tell

BLOCK = 1 << 20
PIECE = 64 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of an open file and the path that it is put to."""

    descriptor: int
    offset: int
    length: int
    path: str


def pieces(root: Path, target: str) -> Iterator[Piece]:
    """All pieces of all files; the descriptors stay open until the process ends."""
    for path in sorted(root.iterdir()):
        descriptor, size = os.open(path, os.O_RDONLY), path.stat().st_size
        for offset in range(0, size, PIECE):
            length = min(PIECE, size - offset)
            yield Piece(descriptor, offset, length, f"{target}{path.name}.{offset}")


def put(peer: socket.socket, piece: Piece, view: memoryview) -> None:
    """Send one piece and read the answer."""
    head = (
        f"PUT {piece.path} HTTP/1.1\r\nHost: sink\r\nContent-Length: {piece.length}"
        "\r\n\r\n"
    )
    peer.sendall(head.encode())
    offset, end = piece.offset, piece.offset + piece.length
    while offset < end:
        block = view[: min(BLOCK, end - offset)]
        count = os.preadv(piece.descriptor, [block], offset)
        peer.sendall(block[:count])
        offset += count
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += peer.recv(1 << 16)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer.decode())


def connected(endpoint: str, context: ssl.SSLContext) -> socket.socket:
    """A connection to the endpoint, encrypted where it is https."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    peer = socket.create_connection((host, parts.port or 80))
    if parts.scheme == "https":
        return context.wrap_socket(peer, server_hostname=host)
    return peer


def work(
    waiting: queue.SimpleQueue[Piece],
    connect: Callable[[], socket.socket],
    view: memoryview,
) -> None:
    """Put pieces over one connection until none is left."""
    with connect() as peer:
        while True:
            try:
                piece = waiting.get_nowait()
            except queue.Empty:
                return
            put(peer, piece, view)


def upload(
    waiting: queue.SimpleQueue[Piece], endpoint: str, views: Sequence[memoryview]
) -> None:
    """Put everything, in one thread for each view."""
    authority = os.environ.get("REQUESTS_CA_BUNDLE")
    context = ssl.create_default_context(cafile=authority)
    connect = partial(connected, endpoint, context)
    with ThreadPoolExecutor(len(views)) as pool:
        working = [pool.submit(work, waiting, connect, view) for view in views]
        for one in working:
            one.result()


def main() -> None:
    """One upload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("prefix")
    parser.add_argument("directory", type=Path)
    parser.add_argument("threads", type=int)
    args = parser.parse_args()
    waiting: queue.SimpleQueue[Piece] = queue.SimpleQueue()
    for piece in pieces(args.directory, f"/bench-bucket/{args.prefix}"):
        waiting.put(piece)
    # Whole pages: the kernel fills them in half the time of a bytearray.
    views = [memoryview(mmap(-1, BLOCK)) for _ in range(args.threads)]
    time_and_tell(partial(upload, waiting, args.endpoint, views))


if __name__ == "__main__":
    main()
