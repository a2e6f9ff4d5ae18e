"""Forward proxies for tests: plain, with a login, one that strips, one that vanishes.

Each connection carries one request, or one tunnel (`CONNECT`), and is then closed.
"""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from urllib.parse import quote, urlsplit

_PIECE = 1 << 16
_MAX_HEAD = 1 << 16  # bytes


class Proxy:
    """A proxy on 127.0.0.1, from `appear()` to `vanish()`, as often as one likes.

    `login`: the user and password that it asks for. `strips`: names of headers that
    it takes out of answers which it can read (those to plain http).
    """

    def __init__(
        self, *, login: tuple[str, str] | None = None, strips: Sequence[str] = ()
    ) -> None:
        self.requests: list[str] = []  # the first line of each
        self.login = login
        self.port = 0
        self._strips = {name.lower() for name in strips}
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """For `http_proxy` and `https_proxy`, without the login."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url_with_login(self) -> str:
        """The same with user and password, percent-encoded."""
        user, password = (quote(text, safe="") for text in self.login or ("", ""))
        return f"http://{user}:{password}@127.0.0.1:{self.port}"

    def appear(self) -> None:
        """Listen, on the port of last time if there was one."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(
            target=self._accept, args=(self._listener,), daemon=True
        ).start()

    def vanish(self) -> None:
        """Stop listening and cut all that goes through it, as a crash does."""
        listener, self._listener = self._listener, None
        with self._lock:
            gone = list(self._open)
        for one in ([listener] if listener else []) + gone:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if listener is not None:
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it vanished
            while True:
                client, _ = listener.accept()
                threading.Thread(
                    target=self._serve, args=(client,), daemon=True
                ).start()

    def _serve(self, client: socket.socket) -> None:
        with client, self._known(client), suppress(OSError):
            head, rest = _read_head(client)
            line, *headers = head.split("\r\n")
            self.requests.append(line)
            if not self._is_let_in(headers):
                client.sendall(_answer("407 Proxy Authentication Required"))
                return
            method, target, _ = line.split(" ")
            address = target if method == "CONNECT" else urlsplit(target).netloc
            host, _, port = (
                address.rpartition(":") if ":" in address else (address,) * 3
            )
            try:
                server = socket.create_connection((host, int(port)), 10)
            except (OSError, ValueError):
                client.sendall(_answer("502 Bad Gateway"))
                return
            with server, self._known(server):
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(_to_origin(line, headers) + rest)
                self._exchange(client, server, tunnel=method == "CONNECT")

    def _is_let_in(self, headers: Sequence[str]) -> bool:
        if self.login is None:
            return True
        said = base64.b64encode(":".join(self.login).encode()).decode()
        return f"proxy-authorization: basic {said}".lower() in map(str.lower, headers)

    def _exchange(
        self, client: socket.socket, server: socket.socket, *, tunnel: bool
    ) -> None:
        upwards = threading.Thread(target=_pump, args=(client, server), daemon=True)
        upwards.start()
        while not tunnel:
            head, rest = _read_head(server)
            client.sendall(self._stripped(head) + rest)
            tunnel = not head.startswith("HTTP/1.1 1")  # 100 Continue: one more head
        _pump(server, client)
        upwards.join()

    def _stripped(self, head: str) -> bytes:
        line, *headers = head.split("\r\n")
        kept = [
            one for one in headers if _name(one) not in self._strips | {"connection"}
        ]
        return "\r\n".join([line, *kept, "Connection: close", "", ""]).encode("latin-1")

    @contextmanager
    def _known(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)


def _name(header: str) -> str:
    return header.partition(":")[0].strip().lower()


def _answer(status: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close", "", ""]
    if status.startswith("407"):
        lines.insert(1, 'Proxy-Authenticate: Basic realm="proxy"')
    return "\r\n".join(lines).encode()


def _to_origin(line: str, headers: Sequence[str]) -> bytes:
    """The head as the server behind gets it: its own path, and this request alone."""
    method, target, version = line.split(" ")
    parts = urlsplit(target)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    ours = ("connection", "proxy-connection", "proxy-authorization")
    kept = [one for one in headers if _name(one) not in ours]
    lines = [f"{method} {path} {version}", *kept, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _read_head(connection: socket.socket) -> tuple[str, bytes]:
    data = bytearray()
    while b"\r\n\r\n" not in data:
        piece = connection.recv(_PIECE)
        if not piece or len(data) > _MAX_HEAD:
            raise ConnectionError
        data += piece
    head, _, rest = bytes(data).partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy(
    *, login: tuple[str, str] | None = None, strips: Sequence[str] = ()
) -> Iterator[Proxy]:
    """A proxy that is there, until the block ends."""
    made = Proxy(login=login, strips=strips)
    made.appear()
    try:
        yield made
    finally:
        made.vanish()
