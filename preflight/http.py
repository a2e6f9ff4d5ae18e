"""Why a server was not reached, in words: what requests and urllib3 raise, told apart.

Their exceptions nest three and four deep, and the one that says the cause (a name that
has no address, a certificate file that is not there) lies at the bottom.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from preflight.language import glued, say
from preflight.system_errors import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Session

PORTAL = say(
    "a proxy or a login page may stand in between; see HTTPS_PROXY and NO_PROXY"
)

# Where requests looks for the authorities to trust, in this order.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Cause(str, Enum):
    """What kept a request or its answer from arriving."""

    ADDRESS = "the address cannot be used"
    DNS = "the name has no address"
    REFUSED = "nobody listens there"
    NO_ROUTE = "the network has no way there"
    UNANSWERED = "no connection was made in time"
    TIMEOUT = "no answer came in time"
    CERTIFICATE = "the certificate is not trusted"
    NO_TLS = "the other end does not speak TLS"
    TLS = "the two ends did not agree on TLS"
    PROXY = "the proxy was not reached, or did not reach the server"
    PROXY_REFUSES = "the proxy wants a login, or forbids this server"
    PROXY_SETTING = "the proxy is not what its setting says"
    REDIRECT = "the answer sends elsewhere"
    LOCAL = "this machine's own files or limits"
    DESCRIPTORS = "this machine's limit of open files"
    TORN = "the answer is not whole"
    BROKEN = "the connection broke"


_SETTINGS = {
    Cause.ADDRESS,
    Cause.NO_TLS,
    Cause.PROXY_REFUSES,
    Cause.PROXY_SETTING,
    Cause.LOCAL,
    Cause.DESCRIPTORS,
}
_LASTING = _SETTINGS | {Cause.CERTIFICATE, Cause.REDIRECT}
_NEVER_LEFT = _SETTINGS | {
    Cause.DNS,
    Cause.REFUSED,
    Cause.NO_ROUTE,
    Cause.UNANSWERED,
    Cause.CERTIFICATE,
    Cause.PROXY,
}


@dataclass(frozen=True, slots=True)
class Unreached:
    """Why there is no answer: a sentence that begins with who was asked, and a hint."""

    cause: Cause
    words: str
    hint: str = ""

    @property
    def is_setting(self) -> bool:
        """Whether only the user can mend it, in a setting or on this machine."""
        return self.cause in _SETTINGS

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.cause not in _LASTING

    @property
    def sent(self) -> bool:
        """Whether the server may have got the request."""
        return self.cause not in _NEVER_LEFT


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps, as requests and urllib3 nest them."""
    pending, seen = [error], set()
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (
            *one.args,
            getattr(one, "reason", None),
            one.__cause__,
            one.__context__,
        )
        pending += [each for each in inner if isinstance(each, BaseException)]


def why_unreached(
    error: BaseException, host: str, *, mask: Callable[[str], str] = str
) -> Unreached:
    """The cause of an exception of requests or urllib3 when `host` was asked.

    `mask` takes secrets out of words that are not ours.
    """
    nested = list(chain(error))
    for look in (_local, _proxy, _address, _tls, _network):
        if found := look(nested, host):
            return found
    last = nested[-1]
    if _is_a(nested, *_torn_kinds()):
        told = say(
            "the answer of {host} is not whole ({name})",
            host=host,
            name=type(last).__name__,
        )
        return Unreached(Cause.TORN, told)
    told = mask(f"{type(last).__name__}: {last}")
    return Unreached(
        Cause.BROKEN, say("{host}: the connection broke ({told})", host=host, told=told)
    )


def _is_a(nested: list[BaseException], *kinds: type[BaseException]) -> bool:
    return any(isinstance(one, kinds) for one in nested)


def _said(nested: list[BaseException], pattern: str) -> re.Match[str] | None:
    found = (re.search(pattern, str(one)) for one in nested)
    return next(filter(None, found), None)


def _torn_kinds() -> tuple[type[BaseException], ...]:
    from http.client import IncompleteRead

    from requests import exceptions as http
    from urllib3 import exceptions as pool

    return (
        IncompleteRead,
        http.ChunkedEncodingError,
        http.ContentDecodingError,
        pool.IncompleteRead,
        pool.DecodeError,
    )


def _local(nested: list[BaseException], host: str) -> Unreached | None:
    """Files that requests itself needs, and limits of this machine."""
    if found := _said(nested, r"invalid path: (.*)"):
        return Unreached(
            Cause.LOCAL,
            say(
                "the file of trusted certificates is not there: {found}", found=found[1]
            ),
            say(
                "see REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE: set the right path "
                "or unset it"
            ),
        )
    for one in nested:
        if isinstance(one, OSError) and one.errno in (errno.EMFILE, errno.ENFILE):
            told = say(
                "{host} was not asked: too many files are open at once", host=host
            )
            return Unreached(Cause.DESCRIPTORS, told, say("raise `ulimit -n`"))
        # A connection's own errors name no file.
        if isinstance(one, OSError) and isinstance(one.filename, (str, bytes)):
            told = say(
                "{host} was not asked: {why}",
                host=host,
                why=glued(f"{one.filename!s}: ", reason_of(one)),
            )
            return Unreached(
                Cause.LOCAL, told, say("see SSLKEYLOGFILE and the CA bundle")
            )
    if _said(nested, r"Missing dependencies for SOCKS"):
        return Unreached(
            Cause.PROXY_SETTING,
            say(
                "the proxy is a SOCKS proxy, which needs a package that is not "
                "installed"
            ),
            say(
                "pip install pysocks, or set HTTPS_PROXY and ALL_PROXY to an HTTP proxy"
            ),
        )
    return None


def _proxy(nested: list[BaseException], host: str) -> Unreached | None:
    from requests import exceptions as http
    from urllib3 import exceptions as pool

    if _is_a(nested, http.InvalidProxyURL, pool.ProxySchemeUnknown):
        told = say("the proxy's address cannot be used")
        return Unreached(
            Cause.PROXY_SETTING, told, say("check HTTPS_PROXY and ALL_PROXY")
        )
    if not _is_a(nested, http.ProxyError, pool.ProxyError):
        return None
    if _said(nested, "appears to only use HTTP"):
        told = say("the proxy speaks plain http, but its address says https")
        hint = say(
            "write http:// in HTTPS_PROXY: what is sent through it stays encrypted"
        )
        return Unreached(Cause.PROXY_SETTING, told, hint)
    # http.client's words when a proxy opens no tunnel
    if found := _said(nested, r"Tunnel connection failed: (\d+)"):
        status = int(found[1])
        if status == 407:
            told = say("the proxy asks for a login (HTTP 407)")
            hint = say("set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, %-encoded")
            return Unreached(Cause.PROXY_REFUSES, told, hint)
        told = say(
            "the proxy does not let us through to {host} (HTTP {status})",
            host=host,
            status=status,
        )
        kind = Cause.PROXY_REFUSES if 400 <= status < 500 else Cause.PROXY
        return Unreached(kind, told, PORTAL)
    inner = _network(nested, say("the proxy"))
    told = inner.words if inner else say("the proxy does not let us through")
    return Unreached(Cause.PROXY, told, PORTAL)


def _address(nested: list[BaseException], host: str) -> Unreached | None:
    from requests import exceptions as http
    from urllib3 import exceptions as pool

    if _is_a(nested, http.TooManyRedirects):
        return Unreached(
            Cause.REDIRECT, say("{host} sends elsewhere", host=host), PORTAL
        )
    kinds = (http.InvalidURL, http.InvalidSchema, http.MissingSchema)
    if _is_a(nested, *kinds, pool.LocationValueError):
        return Unreached(
            Cause.ADDRESS, say("{host} is not a usable address", host=host)
        )
    return None


def _tls(nested: list[BaseException], host: str) -> Unreached | None:
    if found := _said(nested, r"CERTIFICATE_VERIFY_FAILED\] [^:]*: ([^(]*)"):
        why = found[1].strip(" .")
        told = say(
            "{host} shows a certificate that is not trusted ({why})", host=host, why=why
        )
        return Unreached(Cause.CERTIFICATE, told, _certificate_hint(why))
    if _said(nested, r"(?i)wrong.version.number|record.layer.failure|unknown.protocol"):
        told = say("{host} does not speak TLS on this port", host=host)
        return Unreached(Cause.NO_TLS, told, say("check the address and its port"))
    if not _is_a(nested, ssl.SSLError) or _is_a(nested, TimeoutError):
        return None
    told = say("{host}: TLS failed ({reason})", host=host, reason=_reason(nested))
    return Unreached(Cause.TLS, told, PORTAL)


def _certificate_hint(why: str) -> str:
    if "expired" in why or "not yet valid" in why:
        return say("check this machine's clock; else its server must be mended")
    if "mismatch" in why:
        return say("check the address; something else may answer in its place")
    return say("behind an inspecting proxy, set REQUESTS_CA_BUNDLE to its root's file")


def _reason(nested: list[BaseException]) -> str:
    reasons = (getattr(one, "reason", "") for one in nested)
    texts = (each for each in reasons if isinstance(each, str) and each)
    return next(texts, say("no reason given"))


def _network(nested: list[BaseException], host: str) -> Unreached | None:
    from requests import exceptions as http
    from urllib3 import exceptions as pool

    if _is_a(nested, socket.gaierror, pool.NameResolutionError):
        hint = say("check the name, and this machine's DNS")
        return Unreached(Cause.DNS, say("{host} has no address", host=host), hint)
    if _is_a(nested, ConnectionRefusedError):
        hint = say("check the address and its port")
        return Unreached(
            Cause.REFUSED, say("{host} refuses connections", host=host), hint
        )
    lost = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
    if any(isinstance(one, OSError) and one.errno in lost for one in nested):
        told = say("this machine has no way to {host}", host=host)
        return Unreached(Cause.NO_ROUTE, told, say("check the network"))
    # urllib3 counts every connection that could not be made as a timeout, too.
    made = (one for one in nested if isinstance(one, pool.NewConnectionError))
    if unmade := next(made, None):
        told = str(unmade).rpartition(": ")[2]
        return Unreached(
            Cause.NO_ROUTE,
            say("{host} cannot be reached ({told})", host=host, told=told),
        )
    if _is_a(nested, http.ConnectTimeout, pool.ConnectTimeoutError):
        hint = say("check the network; a firewall may drop what is sent there")
        told = say("{host} cannot be reached: no connection in time", host=host)
        return Unreached(Cause.UNANSWERED, told, hint)
    if _is_a(nested, http.Timeout, pool.ReadTimeoutError, TimeoutError):
        return Unreached(Cause.TIMEOUT, say("{host} did not answer in time", host=host))
    return None


def what_came(status: int, headers: Mapping[str, str], body: bytes) -> str:
    """A few words for an answer that is not in the service's own form.

    `headers` are in lower case; of `body` the beginning is enough.
    """
    kind = headers.get("content-type", say("no content type")).split(";")[0]
    if not body.strip():
        return say("an empty body (HTTP {status})", status=status)
    page = body.lstrip()[:15].lower().startswith((b"<!doctype", b"<html"))
    named = (
        say("an HTML page")
        if page
        else say("{count} bytes of {kind}", count=len(body), kind=kind)
    )
    return say("{named} (HTTP {status})", named=named, status=status)


def reach_this_machine(session: Session) -> None:
    """Go to loopback without a proxy, which is for the world outside.

    That leaves ~/.netrc out, too, but not the authorities that the environment names.
    """
    session.trust_env = False
    session.verify = next(filter(None, map(os.environ.get, _BUNDLES)), True)
