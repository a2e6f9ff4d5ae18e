"""The practical limit in Python: pread and send on plain sockets, nothing else.

Each file goes up as HTTP PUT requests of one piece each. No checksum, no signature.
"""

from __future__ import annotations

import argparse
import os
import queue
import socket
import threading
from collections.abc import Iterator, Sequence
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


def work(
    waiting: queue.SimpleQueue[Piece], address: tuple[str, int], view: memoryview
) -> None:
    """Put pieces over one connection until none is left."""
    with socket.create_connection(address) as peer:
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
    parts = urlsplit(endpoint)
    address = (parts.hostname or "", parts.port or 80)
    workers = [
        threading.Thread(target=work, args=(waiting, address, view)) for view in views
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main() -> None:
    """One upload."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("endpoint")
    parser.add_argument("prefix")
    parser.add_argument("directory", type=Path)
    parser.add_argument("threads", type=int)
    parser.add_argument("--aligned", action="store_true", help="read to whole pages")
    args = parser.parse_args()
    waiting: queue.SimpleQueue[Piece] = queue.SimpleQueue()
    for piece in pieces(args.directory, f"/bench-bucket/{args.prefix}"):
        waiting.put(piece)
    views = [
        memoryview(mmap(-1, BLOCK) if args.aligned else bytearray(BLOCK))
        for _ in range(args.threads)
    ]
    time_and_tell(partial(upload, waiting, args.endpoint, views))


if __name__ == "__main__":
    main()
