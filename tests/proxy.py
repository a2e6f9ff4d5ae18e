"""A proxy of a company on loopback: it wants a login, and looks into what passes."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_REFUSED = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
)
_OPEN = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass
class Proxy:
    """Its port, and the hosts that it was asked for."""

    port: int
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def intercepting(
    route: Callable[[str], int], context: ssl.SSLContext, login: str = ""
) -> Iterator[Proxy]:
    """Answer CONNECT, end TLS with `context`, and hand on what it held.

    `route` gives the port of the plain service on loopback that stands for a host;
    `login` is `user:password`, asked for when it is not empty.
    """
    wanted = base64.b64encode(login.encode()).decode()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener.getsockname()[1])

        def serve(client: socket.socket) -> None:
            with contextlib.suppress(OSError), client:
                head = _head(client)
                if not head.startswith("CONNECT "):
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    return
                if login and f"Proxy-Authorization: Basic {wanted}" not in head:
                    client.sendall(_REFUSED)
                    return
                found = re.match(r"CONNECT ([^: ]+):", head)
                host = found[1] if found else ""
                proxy.asked.append(host)
                client.sendall(_OPEN)
                with (
                    context.wrap_socket(client, server_side=True) as inside,
                    socket.create_connection(("127.0.0.1", route(host))) as service,
                ):
                    _pump(inside, service)

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)


def _head(client: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(4096)
        data += piece
        # TLS, where a proxy that speaks http expects words: it does not understand.
        if not piece or data[0] == 0x16:
            break
    return data.decode("latin-1")


def _pump(one: socket.socket, other: socket.socket) -> None:
    def back() -> None:
        with contextlib.suppress(OSError):
            while piece := other.recv(65536):
                one.sendall(piece)
            one.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=back, daemon=True)
    thread.start()
    with contextlib.suppress(OSError):
        while piece := one.recv(65536):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)
    thread.join(20)
