"""Which operation a request is: by scope, method and the names in its query.

A route says which query parameters it needs and which it knows; together with those
of a signature in the URL nothing else is allowed. What no route takes is answered
501, so that the sandbox never says yes to something that it does not do.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote_to_bytes

from werkzeug.wrappers import Request, Response

from preflight.sandbox.call import Body, call_of
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.signature import QUERY_NAMES
from preflight.sandbox.oss.state import OssState

_ENDPOINT = re.compile(r"localhost|oss-[a-z0-9-]+\.aliyuncs\.com")
# The x-oss- headers of every request; a route names those of its own, and any other
# one is a 501.
_HEADERS = frozenset({"x-oss-date", "x-oss-content-sha256", "x-oss-security-token"})


def names(*all_of_them: str) -> frozenset[str]:
    """Names of query parameters."""
    return frozenset(all_of_them)


class Scope(Enum):
    """What a request is about."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Context:
    """One request, taken apart; `query` holds the operation's own parameters too."""

    state: OssState
    request: Request
    bucket: str
    key: str
    query: dict[str, str]
    host: str
    who: Credential | None = None  # known once the request was authorized

    @property
    def body(self) -> Body:
        """The request's body as a stream."""
        return call_of(self.request).body

    @property
    def scope(self) -> Scope:
        """Service, bucket or object."""
        if self.key:
            return Scope.OBJECT
        return Scope.BUCKET if self.bucket else Scope.SERVICE


@dataclass(frozen=True, slots=True)
class Route:
    """An operation: how it is recognised, and the function that answers it.

    `needs` and `knows`: query parameters; `headers`: x-oss- headers that mean
    something to it, of which `needs_header` has to be there.
    """

    name: str
    scope: Scope
    method: str
    answer: Callable[[Context], Response]
    needs: frozenset[str] = frozenset()
    knows: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    needs_header: str = ""

    def takes(self, context: Context) -> bool:
        """Whether the request is this operation."""
        given = context.query.keys()
        return (
            self.scope is context.scope
            and self.method == context.request.method
            and self.needs <= given
            and given <= self.needs | self.knows | QUERY_NAMES
            and (not self.needs_header or self.needs_header in context.request.headers)
        )


def unknown_header(context: Context, route: Route) -> str:
    """An x-oss- header that the operation does not heed here, or nothing."""
    for name in context.request.headers.keys():  # noqa: SIM118 - pairs otherwise
        lower = name.lower()
        if not lower.startswith("x-oss-") or lower.startswith("x-oss-meta-"):
            continue
        if lower not in _HEADERS | route.headers:
            return lower
    return ""


def take_apart(state: OssState, request: Request) -> Context:
    """Bucket, key and query of a request, percent-decoded once.

    Path style for an IP or the name of an endpoint, as SDKs do it; otherwise the
    bucket is the first label of the host (OSS docs, "Access OSS via endpoints").
    Raises OssError (InvalidObjectName) for a key that is not UTF-8.
    """
    path, _, query = str(request.environ["RAW_URI"]).partition("?")
    path = path.partition("://")[2].partition("/")[2] if "://" in path else path[1:]
    host = _without_port(request.host)
    if _is_endpoint(host):
        bucket, _, key = path.partition("/")
        bucket = _decoded(bucket)
    else:
        bucket, key = host.partition(".")[0], path
    pairs = (item.partition("=") for item in query.split("&") if item)
    parsed = {_query_text(name): _query_text(value) for name, _, value in pairs}
    return Context(state, request, bucket, _decoded(key), parsed, request.host)


def _without_port(host: str) -> str:
    return re.sub(r":\d+\Z", "", host).lower()


def _is_endpoint(host: str) -> bool:
    """Whether the host is that of the service; names of buckets stand before it."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return _ENDPOINT.fullmatch(host) is not None
    return True


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise OssError("InvalidObjectName") from None


def _query_text(text: str) -> str:
    raw = unquote_to_bytes(text.replace("+", " ").encode("latin-1"))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise OssError("InvalidArgument", "A parameter is not UTF-8.") from None


def find(routes: Iterable[Route], context: Context) -> Route | None:
    """The route that takes the request, or None."""
    return next((route for route in routes if route.takes(context)), None)
