"""One loopback HTTP endpoint: a service behind a pytest-httpserver, with faults.

From pytest-httpserver come the life of the server, its thread, what a test expects
instead of the service's own answers, and what went wrong in a handler. Three of its
methods are replaced, for it holds each request and its answer in memory and serves one
a connection: `start` takes a server of our own, `application` streams bodies, and what
no expectation matches the service answers.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import cast

from pytest_httpserver import HTTPServer, HTTPServerError
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


class Endpoint(HTTPServer):
    """One service on 127.0.0.1, from `start()` to `stop()`.

    `patience`: so many seconds without a byte from the client end its connection.
    `tls`: speak https with it. `clock` dates the answers. `expect_request` and its
    like let a test answer in the service's place, by all but the body, which is read
    once. Exceptions of the handler are answered as 500 and kept for `check()`.
    `log_calls` counts the calls; pytest-httpserver's own `log`, which would keep whole
    bodies, stays empty.
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
        super().__init__(_HOST, port, tls, threaded=True)
        self.service = service
        self.faults = faults
        self.log_calls = RequestLog()
        self._handler = handler
        self._clock = clock
        self._shared = Service(service, faults, self.log_calls, patience, tls)

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return self.url_for("").rstrip("/")

    def start(self) -> None:
        """Listen and serve in threads; raises OSError if the port is taken.

        Not `super().start()`, which makes werkzeug's ordinary server by its name.
        """
        if self.is_running():
            raise HTTPServerError(f"the {self.service} endpoint is already running")
        with socket.create_server((self.host, self.port), backlog=_BACKLOG) as listener:
            app = Request.application(self.application)
            self.server = Server(self._shared, listener, app)
        self.port = self.server.port
        self.server_thread = threading.Thread(target=self.thread_target, daemon=True)
        self.server_thread.start()

    def thread_target(self) -> None:
        """Serve; the short interval makes stopping quick."""
        cast("Server", self.server).serve_forever(poll_interval=0.02)

    def stop(self) -> None:
        """Stop listening and end all connections; nothing to do if not running."""
        if not self.is_running():
            return
        server = cast("Server", self.server)
        super().stop()
        server.close_connections()

    def respond_nohandler(self, request: Request, extra_message: str = "") -> Response:
        """The service's answer: no test expects another one for this request."""
        if self.permanently_failed:  # an ordered expectation was not met
            return super().respond_nohandler(request, extra_message)
        try:
            return self._handler(request)
        except (FaultAnswer, ConnectionCut, OSError):
            raise
        except Exception as error:
            self.handler_errors.append(error)
            raise

    def dispatch(self, request: Request) -> Response:
        """The answer to a request, or what a fault or a bug makes of it."""
        try:
            return super().dispatch(request)
        except FaultAnswer as error:
            return fault_answer(error, request_id=call_of(request).request_id)
        except (ConnectionCut, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - shown by check()
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
