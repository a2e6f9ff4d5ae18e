"""Connections to an endpoint: streamed both ways, kept open, cut where a fault says.

Built on werkzeug's development server, as pytest-httpserver is, which parses requests.
That one ends a connection after each answer, reads what is left of a body whatever its
size, and does TLS handshakes one after another. Added here: bodies are streamed and
never kept, connections stay open between calls (HTTP/1.1), a fault can really cut one,
a client that falls silent is not waited for without end, TLS handshakes happen in the
connection's own thread, and nothing is printed.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from preflight.sandbox.call import ENVIRON_KEY, PIECE, Body, Call, ConnectionCut
from preflight.sandbox.faults import FaultPlan
from preflight.sandbox.request_log import RequestLog, RequestRecord

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_Connection = socket.socket | tuple[bytes, socket.socket]

_DRAIN_LIMIT = 64 << 20  # bytes; a longer unread body costs the connection
_LINGER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Service:
    """What all connections of one endpoint share.

    `patience`: so many seconds without a byte end a connection.
    """

    name: str
    faults: FaultPlan
    log: RequestLog
    patience: float
    tls: ssl.SSLContext | None = None


class _Answer:
    """What the WSGI application says before its body."""

    status = 0
    headers: tuple[tuple[str, str], ...] = ()

    def start(
        self, status: str, headers: list[tuple[str, str]], _: object = None
    ) -> Callable[[bytes], None]:
        self.status, self.headers = int(status.split()[0]), tuple(headers)
        return lambda _: None

    def has(self, name: str) -> bool:
        return any(key.lower() == name for key, _ in self.headers)


def _body_length(environ: Mapping[str, Any]) -> int | None:
    """The announced length in bytes, None if chunked; ValueError if it is no number."""
    if environ.get("wsgi.input_terminated"):
        return None
    text = str(environ.get("CONTENT_LENGTH") or "0")
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text)


class _RequestHandler(WSGIRequestHandler):
    """One connection, from its first request to its end."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits for a delayed ACK
    rbufsize = 1 << 16
    server: Server

    def setup(self) -> None:
        """Wait for the client no longer than the service's patience."""
        super().setup()
        self.connection.settimeout(self.server.service.patience)

    def run_wsgi(self) -> None:
        """Handle one request of the connection."""
        environ = self.environ = self.make_environ()
        try:
            length = _body_length(environ)
        except ValueError:
            self.close_connection = True
            self.send_error(400)
            return
        body = Body(environ["wsgi.input"], length)
        service = self.server.service
        body.sleep = service.faults.sleep
        call = Call(service.name, service.faults, body)
        environ |= {"wsgi.input": body, "wsgi.input_terminated": True}
        environ[ENVIRON_KEY] = call
        try:
            self._run(call)
        except (ConnectionCut, OSError):
            if not call.logged:
                self._log_call(call, 0)
            self._cut()

    def _run(self, call: Call) -> None:
        answer = _Answer()
        pieces = self.server.app(self.environ, answer.start)
        body = call.body
        try:
            # After such a body the connection is of no more use: the rest of it may
            # never come, or would take too long to be read and thrown away.
            useless = body.stalled or (
                not body.finished and (body.length or 0) > _DRAIN_LIMIT
            )
            if not useless:
                body.drain()
            self._log_call(call, answer.status)
            self._send_head(answer, close=useless)
            self._send_body(pieces, call)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        if useless:
            self._linger()

    def _log_call(self, call: Call, status: int) -> None:
        """Before the answer is sent: who has it may count on the log."""
        call.logged = True
        record = (self.command, call.operation, call.key, status, call.body.received)
        self.server.service.log.add(RequestRecord(*record))

    def _send_head(self, answer: _Answer, *, close: bool) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if not answer.has("date"):
            self.send_header("Date", formatdate(usegmt=True))
        bodiless = self.command == "HEAD" or answer.status in (204, 304)
        if close or not (bodiless or answer.has("content-length")):
            self.send_header("Connection", "close")
        self.end_headers()

    def _send_body(self, pieces: Iterable[bytes], call: Call) -> None:
        rate = call.body.bytes_per_second
        for piece in pieces:
            step = max(1, rate // 20) if rate else len(piece)
            for start in range(0, len(piece), step or 1):
                part = piece[start : start + step]
                self.wfile.write(part)
                if rate:
                    call.plan.sleep(len(part) / rate)

    def _linger(self) -> None:
        """Let the client read the answer although it is still sending."""
        self.connection.shutdown(socket.SHUT_WR)
        self.connection.settimeout(_LINGER_SECONDS)
        left = _DRAIN_LIMIT
        while left > 0 and (data := self.connection.recv(PIECE)):
            left -= len(data)

    def _cut(self) -> None:
        """Reset the connection, as a network that breaks does."""
        self.close_connection = True
        reset_now = struct.pack("ii", 1, 0)
        with suppress(OSError):  # the client may have been quicker
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_now)

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the endpoint keeps its own log."""


class Server(ThreadedWSGIServer):
    """A threaded server that knows its connections and prints nothing."""

    def __init__(
        self, service: Service, listener: socket.socket, app: WSGIApplication
    ) -> None:
        self.service = service
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        host, port = listener.getsockname()[:2]
        super().__init__(host, port, app, _RequestHandler, fd=listener.fileno())
        self.ssl_context = service.tls  # what requests are told of the scheme

    def process_request(self, request: _Connection, client_address: object) -> None:
        """Serve a new connection in its own thread."""
        with self._open_lock:
            self._open.add(cast("socket.socket", request))
        super().process_request(request, client_address)

    def process_request_thread(
        self, request: _Connection, client_address: object
    ) -> None:
        """Serve a connection, in a thread of its own that is already running.

        With TLS the handshake is here, so that a silent client holds up only itself.
        """
        connection = cast("socket.socket", request)
        if self.service.tls is not None:
            connection.settimeout(self.service.patience)
            try:
                secured = self.service.tls.wrap_socket(connection, server_side=True)
            except OSError:  # a client that does not trust us, or speaks plain HTTP
                self.shutdown_request(connection)
                return
            with self._open_lock:
                self._open.discard(connection)
                self._open.add(secured)
            connection = secured
        super().process_request_thread(connection, cast("Any", client_address))

    def shutdown_request(self, request: _Connection) -> None:
        """Close a connection; after a cut it is a reset, not an orderly end."""
        connection = cast("socket.socket", request)
        with self._open_lock:
            self._open.discard(connection)
        with suppress(OSError):
            linger = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
            if struct.unpack("ii", linger)[0]:
                connection.close()
                return
        super().shutdown_request(request)

    def handle_error(self, request: _Connection, client_address: object) -> None:
        """A connection that broke is no event for a server that is made to break."""

    def close_connections(self) -> None:
        """End what is still open, so that no thread waits for a client."""
        with self._open_lock:
            connections = tuple(self._open)
        for connection in connections:
            with suppress(OSError):  # it may be closed meanwhile
                connection.shutdown(socket.SHUT_RDWR)
