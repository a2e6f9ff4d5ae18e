"""One request while it is handled: its body as a stream, and the faults that hit it.

A handler tells which operation a request is, before it reads the body:

    call = operation(request, "UploadPart", key)

At that point the faults that are due happen: waiting, an error instead of the call
(`FaultAnswer`), a cut connection (`ConnectionCut`). `call.faults` has the others.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from werkzeug.wrappers import Request, Response

from preflight.sandbox.faults import Action, Fault, FaultPlan

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 1 << 20  # bytes of a body in memory at a time
ENVIRON_KEY = "preflight.call"
_PORTAL = (
    "<!DOCTYPE html><html><head><title>Sign in to the network</title></head>"
    "<body><form action='/login'><input name='user'></form></body></html>"
)


class ConnectionCut(Exception):
    """The connection is to be closed now, or was closed by the client."""


class BodyStalled(ConnectionCut):
    """The client sent nothing of the body for as long as a connection may be silent."""


class FaultAnswer(Exception):
    """A fault of the plan asks for this error instead of the call."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message or fault.code or str(fault.status))
        self.fault = fault


class Body(io.RawIOBase):
    """A request's body as a stream that counts, can be slow, and can be cut."""

    def __init__(self, stream: BinaryIO, length: int | None) -> None:
        self._stream = stream
        self.length = length  # bytes; None when chunked
        self.received = 0
        self.finished = length == 0
        self.stalled = False
        self.cut_at: int | None = None
        self.bytes_per_second = 0
        self.sleep: Callable[[float], None] = lambda _: None

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill some of the buffer; 0 at the end of the body.

        Raises ConnectionCut where a fault cuts, or when the client went away, and
        BodyStalled when it fell silent.
        """
        view = memoryview(buffer).cast("B")
        if self.cut_at is not None and self.received >= self.cut_at:
            raise ConnectionCut
        if self.finished or not view:
            return 0
        count = self._read(view[: self._room(len(view))])
        self.received += count
        if self.bytes_per_second:
            self.sleep(count / self.bytes_per_second)
        return count

    def pieces(self) -> Iterator[memoryview]:
        """The body in pieces of at most 1 MiB, each valid until the next."""
        size = PIECE if self.length is None else min(PIECE, self.length)
        buffer = memoryview(bytearray(size))
        while count := self.readinto(buffer):
            yield buffer[:count]

    def drain(self) -> None:
        """Read and forget what the handler left unread."""
        for _ in self.pieces():
            pass

    def _room(self, wanted: int) -> int:
        """How many bytes may be read at once."""
        if self.length is not None:
            wanted = min(wanted, self.length - self.received)
        if self.bytes_per_second:
            wanted = min(wanted, max(1, self.bytes_per_second // 20))
        if self.cut_at is not None:
            wanted = min(wanted, self.cut_at - self.received)
        return wanted

    def _read(self, view: memoryview) -> int:
        try:
            # werkzeug's chunked reader and BufferedReader both have readinto
            count = cast("Any", self._stream).readinto(view)
        except TimeoutError:
            self.stalled = True
            raise BodyStalled from None
        except OSError:
            raise ConnectionCut from None
        if not count and self.length is not None:
            raise ConnectionCut  # the client closed before the end
        self.finished = not count or self.received + count == self.length
        return int(count or 0)


def _request_id() -> str:
    return uuid.uuid4().hex[:24].upper()


@dataclass(slots=True)
class Call:
    """One request while it is handled."""

    service: str
    plan: FaultPlan
    body: Body
    operation: str = ""
    key: str = ""
    faults: tuple[Fault, ...] = ()
    logged: bool = False
    request_id: str = field(default_factory=_request_id)

    def fault(self, action: Action) -> Fault | None:
        """The first fault of that kind that hits this call, if any."""
        return next((item for item in self.faults if item.action is action), None)

    def begin(self, name: str, key: str) -> None:
        """Name the operation and let the faults happen that come before it.

        Raises FaultAnswer or ConnectionCut if one of them replaces the call.
        """
        self.operation, self.key = name, key
        self.faults = self.plan.due(self.service, name, key)
        for fault in self.faults:
            self._apply(fault)
        for fault in self.faults:
            if fault.action in (Action.STATUS, Action.CAPTIVE_PORTAL):
                raise FaultAnswer(fault)

    def _apply(self, fault: Fault) -> None:
        if fault.action is Action.LATENCY:
            self.plan.sleep(fault.seconds)
        elif fault.action is Action.BANDWIDTH:
            self.body.bytes_per_second = fault.bytes_per_second
            if self.body.received:  # it was read before the fault was known
                self.plan.sleep(self.body.received / fault.bytes_per_second)
        elif fault.action is Action.CUT and fault.at == "before":
            raise ConnectionCut
        elif fault.action is Action.CUT and fault.at == "body":
            self.body.cut_at = int(fault.fraction * (self.body.length or 0))
            if self.body.finished:  # empty, or read before the fault was known
                raise ConnectionCut


def call_of(request: Request) -> Call:
    """The call that this request is."""
    return cast("Call", request.environ[ENVIRON_KEY])


def operation(request: Request, name: str, key: str = "") -> Call:
    """Say which operation the request is; the faults that are due happen now.

    Raises FaultAnswer or ConnectionCut; the endpoint turns both into what they say.
    """
    call = call_of(request)
    call.begin(name, key)
    return call


def fault_answer(error: FaultAnswer, *, request_id: str) -> Response:
    """A fault's error as JSON in Model Studio's form, or its HTML page."""
    fault = error.fault
    if fault.action is Action.CAPTIVE_PORTAL:
        return Response(_PORTAL, 200, content_type="text/html; charset=utf-8")
    text = {"request_id": request_id, "code": fault.code, "message": fault.message}
    return Response(
        json.dumps(text),
        fault.status,
        dict(fault.headers),
        content_type="application/json",
    )


def request_line(request: Request) -> str:
    """What was asked, for an answer that says that it is not offered."""
    return f"{request.method} {request.environ['RAW_URI']}"
