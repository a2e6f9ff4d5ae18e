"""The practical limit in Python: pread and send on plain sockets, nothing else.

Each file goes up as HTTP PUT requests of one piece each. No checksum, no signature.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
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


def work(waiting: queue.SimpleQueue[Piece], address: tuple[str, int]) -> None:
    """Put pieces over one connection until none is left."""
    view = memoryview(bytearray(BLOCK))
    with socket.create_connection(address) as peer:
        while True:
            try:
                piece = waiting.get_nowait()
            except queue.Empty:
                return
            put(peer, piece, view)


def upload(waiting: queue.SimpleQueue[Piece], endpoint: str, threads: int) -> None:
    """Put everything."""
    parts = urlsplit(endpoint)
    address = (parts.hostname or "", parts.port or 80)
    workers = [
        threading.Thread(target=work, args=(waiting, address)) for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main() -> None:
    """ENDPOINT PREFIX DIRECTORY THREADS."""
    endpoint, prefix, directory, threads = sys.argv[1:]
    waiting: queue.SimpleQueue[Piece] = queue.SimpleQueue()
    for piece in pieces(Path(directory), f"/bench-bucket/{prefix}"):
        waiting.put(piece)
    time_and_tell(partial(upload, waiting, endpoint, int(threads)))


if __name__ == "__main__":
    main()
