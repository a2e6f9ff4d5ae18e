"""One loopback HTTP endpoint on pytest-httpserver, with faults and a bounded log.

What pytest-httpserver does not do and the sandbox needs is added here: bodies are
streamed and never kept, connections stay open between calls (HTTP/1.1), a fault can
really cut a connection, and nothing is printed.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

from pytest_httpserver.httpserver import HTTPServerBase
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Request, Response

from preflight.sandbox.call import (
    ENVIRON_KEY,
    PIECE,
    Body,
    Call,
    ConnectionCut,
    FaultAnswer,
    call_of,
    fault_answer,
    operation,
    unknown_request,
)
from preflight.sandbox.faults import Action, FaultPlan

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = [
    "Endpoint",
    "Handler",
    "RequestLog",
    "RequestRecord",
    "call_of",
    "operation",
    "unknown_request",
]

_Connection = socket.socket | tuple[bytes, socket.socket]

Handler = Callable[[Request], Response]

_LOG_LENGTH = 4096
_DRAIN_LIMIT = 64 << 20  # a longer unread body costs the connection
_LINGER_SECONDS = 2.0
_BACKLOG = 256
_CRC_HEADER = "x-oss-hash-crc64ecma"


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A call as the log keeps it; status 0 means that no answer was sent."""

    method: str
    operation: str
    key: str
    status: int
    bytes_received: int


class RequestLog:
    """The last calls, and sums over all of them, in bounded memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: deque[RequestRecord] = deque(maxlen=_LOG_LENGTH)
        self._count: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def add(self, record: RequestRecord) -> None:
        """One more call."""
        with self._lock:
            self._last.append(record)
            self._count[record.operation] += 1
            self._bytes[record.operation] += record.bytes_received

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._last.clear()
            self._count.clear()
            self._bytes.clear()

    def count(self, name: str = "") -> int:
        """How many calls of that operation came in; of all if no name is given."""
        with self._lock:
            return self._count[name] if name else self._count.total()

    def bytes_received(self, name: str = "") -> int:
        """How many body bytes came in for that operation, or for all."""
        with self._lock:
            return self._bytes[name] if name else self._bytes.total()

    def last(self, name: str = "") -> tuple[RequestRecord, ...]:
        """The last calls, oldest first, at most 4,096; of one operation if named."""
        with self._lock:
            return tuple(r for r in self._last if not name or r.operation == name)


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
    """Keeps connections open, streams both ways, and cuts where it is told to."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits for a delayed ACK
    rbufsize = 1 << 16
    server: _Server

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
        endpoint = self.server.endpoint
        body.sleep = endpoint.faults.sleep
        call = Call(endpoint.service, endpoint.faults, body)
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
        try:
            long = not call.body.finished and (call.body.length or 0) > _DRAIN_LIMIT
            if not long:
                call.body.drain()
            self._log_call(call, answer.status)
            self._send_head(answer, close=long)
            self._send_body(pieces, call)
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        if long:
            self._linger()

    def _log_call(self, call: Call, status: int) -> None:
        """Before the answer is sent: who has it may count on the log."""
        call.logged = True
        record = (self.command, call.operation, call.key, status, call.body.received)
        self.server.endpoint.log_calls.add(RequestRecord(*record))

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


class _Server(ThreadedWSGIServer):
    """A threaded server that knows its connections and prints nothing."""

    def __init__(
        self, endpoint: Endpoint, listener: socket.socket, app: WSGIApplication
    ) -> None:
        self.endpoint = endpoint
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        host, port = listener.getsockname()[:2]
        super().__init__(host, port, app, _RequestHandler, fd=listener.fileno())

    def process_request(self, request: _Connection, client_address: object) -> None:
        """Serve a new connection in its own thread."""
        with self._open_lock:
            self._open.add(cast("socket.socket", request))
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Connection) -> None:
        """Close a connection; after a cut it is a reset, not an orderly end."""
        connection = cast("socket.socket", request)
        with self._open_lock:
            self._open.discard(connection)
        linger = connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        if struct.unpack("ii", linger)[0]:
            connection.close()
        else:
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


class Endpoint(HTTPServerBase):
    """One service on 127.0.0.1, from `start()` to `stop()`.

    `handler_errors` collects exceptions of the handler (answered as 500), and
    `check()` raises them; `log_calls` counts the calls.
    """

    def __init__(
        self, service: str, handler: Handler, *, faults: FaultPlan, port: int = 0
    ) -> None:
        super().__init__("127.0.0.1", port, threaded=True)
        self.service = service
        self.faults = faults
        self.log_calls = RequestLog()
        self._handler = handler

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Listen and serve in threads; raises OSError if the port is taken."""
        if self.is_running():
            raise RuntimeError(f"the {self.service} endpoint is already running")
        with socket.create_server((self.host, self.port), backlog=_BACKLOG) as listener:
            app = Request.application(self.application)
            self.server = _Server(self, listener, app)
        self.port = self.server.port
        self.server_thread = threading.Thread(target=self.thread_target, daemon=True)
        self.server_thread.start()

    def thread_target(self) -> None:
        """Serve until stopped; the short interval makes stopping quick."""
        if self.server is not None:
            self.server.serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """Stop listening and end all connections; nothing to do if not running."""
        server = self.server
        if server is None:
            return
        super().stop()
        cast("_Server", server).close_connections()

    def dispatch(self, request: Request) -> Response:
        """The handler's answer, or what a fault or a bug makes of it."""
        call = call_of(request)
        try:
            return self._handler(request)
        except FaultAnswer as error:
            return fault_answer(error, request_id=call.request_id)
        except (ConnectionCut, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - shown by check()
            self.handler_errors.append(error)
            return Response(f"sandbox bug: {error!r}\n", 500)

    def application(self, request: Request) -> Response:
        """Answer one request; applies the faults that come after the call."""
        answer = self.dispatch(request)
        call = call_of(request)
        cut = call.fault(Action.CUT)
        if cut is not None and cut.at == "after":
            raise ConnectionCut
        if call.fault(Action.WRONG_CRC) is not None and _CRC_HEADER in answer.headers:
            wrong = int(answer.headers[_CRC_HEADER]) ^ 1
            answer.headers[_CRC_HEADER] = str(wrong)
        shorten = call.fault(Action.TRUNCATE)
        if shorten is not None:
            whole = answer.get_data()
            answer.set_data(whole[: int(len(whole) * shorten.fraction)])
        return answer
