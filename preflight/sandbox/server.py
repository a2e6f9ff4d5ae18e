"""One loopback HTTP endpoint: a handler behind a port, with faults and a log."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from email.utils import formatdate

from werkzeug.wrappers import Request, Response

from preflight.sandbox.call import (
    ConnectionCut,
    FaultAnswer,
    call_of,
    fault_answer,
    operation,
)
from preflight.sandbox.connection import Server, Service
from preflight.sandbox.faults import Action, FaultPlan
from preflight.sandbox.request_log import RequestLog, RequestRecord

__all__ = [
    "Endpoint",
    "Handler",
    "RequestLog",
    "RequestRecord",
    "call_of",
    "operation",
]

Handler = Callable[[Request], Response]

_HOST = "127.0.0.1"
_BACKLOG = 256
_PATIENCE = 60.0  # seconds; a real server closes a silent connection, too
_CRC_HEADER = "x-oss-hash-crc64ecma"


class Endpoint:
    """One service on 127.0.0.1, from `start()` to `stop()`.

    `patience`: so many seconds without a byte from the client end its connection.
    `tls`: speak https with it. `clock` dates the answers. `handler_errors` collects
    exceptions of the handler (answered as 500), and `check()` raises them;
    `log_calls` counts the calls.
    """

    def __init__(
        self,
        service: str,
        handler: Handler,
        *,
        faults: FaultPlan,
        port: int = 0,
        patience: float = _PATIENCE,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.service = service
        self.faults = faults
        self.port = port
        self.log_calls = RequestLog()
        self.handler_errors: list[Exception] = []
        self._handler = handler
        self._clock = clock
        self._shared = Service(service, faults, self.log_calls, patience, tls)
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        scheme = "https" if self._shared.tls else "http"
        return f"{scheme}://{_HOST}:{self.port}"

    def is_running(self) -> bool:
        """Whether it listens."""
        return self._server is not None

    def start(self) -> None:
        """Listen and serve in threads; raises OSError if the port is taken."""
        if self.is_running():
            raise RuntimeError(f"the {self.service} endpoint is already running")
        with socket.create_server((_HOST, self.port), backlog=_BACKLOG) as listener:
            app = Request.application(self.application)
            self._server = Server(self._shared, listener, app)
        self.port = self._server.port
        self._thread = threading.Thread(
            # the short interval makes stopping quick
            target=lambda server: server.serve_forever(poll_interval=0.02),
            args=(self._server,),
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and end all connections; nothing to do if not running."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.shutdown()
        self._thread.join()
        server.close_connections()

    def check(self) -> None:
        """Raise the first exception of the handler that was not raised yet, if any."""
        if self.handler_errors:
            raise self.handler_errors.pop(0)

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
        answer.headers.setdefault("Date", formatdate(self._clock(), usegmt=True))
        call = call_of(request)
        cut = call.fault(Action.CUT)
        if cut is not None and cut.at == "after":
            answer.close()
            raise ConnectionCut
        if call.fault(Action.WRONG_CRC) is not None and _CRC_HEADER in answer.headers:
            wrong = int(answer.headers[_CRC_HEADER]) ^ 1
            answer.headers[_CRC_HEADER] = str(wrong)
        shorten = call.fault(Action.TRUNCATE)
        if shorten is not None:
            whole = answer.get_data()
            answer.set_data(whole[: int(len(whole) * shorten.fraction)])
        return answer
