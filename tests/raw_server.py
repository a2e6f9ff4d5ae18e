"""A server on loopback that answers with exact bytes, whole or not."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

OK = b'{"request_id": "r-1", "output": {"job_id": "j-1", "status": "PENDING"}}'
RESET = b"reset"  # no answer: the connection is torn down after the request
SILENCE = b"silence"  # no answer: the connection stays open until the server ends


def http(body: bytes, *, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {size}\r\nConnection: close\r\n\r\n".encode() + body


@dataclass
class RawServer:
    url: str
    requests: list[bytes] = field(default_factory=list)

    def count(self, method: str) -> int:
        return sum(r.startswith(f"{method} ".encode()) for r in self.requests)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    sizes = [
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    while len(body) < sum(sizes):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def raw_server(answers: Sequence[bytes]) -> Iterator[RawServer]:
    """Give the answers in turn, the last one for ever after."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = RawServer(f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1")
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            request = _read_request(connection)
            if not request:  # the knock that ends the server
                connection.close()
                return
            answer = answers[min(len(server.requests), len(answers) - 1)]
            server.requests.append(request)
            if answer == SILENCE:
                kept.append(connection)
                continue
            if answer == RESET:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                connection.sendall(answer)
            connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        socket.create_connection(listener.getsockname()).close()
        thread.join()
        listener.close()
        for connection in kept:
            connection.close()
