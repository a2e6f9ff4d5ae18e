"""Proxies and files of TLS that requests takes from the environment, proven at once.

What cannot be used there ends every request the same way, blamed on the server's host;
so it is a setting like the others, checked before the first request. Of a value that
may hold a password nothing is shown but the variable's name and what was understood.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from preflight.catalog.endpoints import is_loopback
from preflight.language import glued, joined, say
from preflight.system_errors import reason_of

_KINDS = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
# The order in which requests looks.
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_KEY_LOG = "SSLKEYLOGFILE"
_HASHED = re.compile(r"[0-9a-f]{8}\.\d+")  # as OpenSSL looks for them


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy variable that is in use; `shown` is its host and port, no login."""

    variable: str
    shown: str = ""
    problem: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)


def proxy_for(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy that requests would take for an https URL; None for a direct way."""
    named = _variables(environ)
    found = named.get("https") or named.get("all")
    if found is None or is_loopback(url) or _is_exempt(url, environ):
        return None
    return read_proxy(found, environ[found])


def _variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Each kind's variable that is set; as for curl, lower case comes first.

    In lower case an empty one switches the other off.
    """
    named: dict[str, str] = {}
    for name in sorted(environ, key=str.islower):
        kind, _, rest = name.lower().partition("_proxy")
        if kind not in ("https", "all") or rest:
            continue
        if environ[name]:
            named[kind] = name
        elif name.islower():
            named.pop(kind, None)
    return named


def proxy_hint(url: str, environ: Mapping[str, str]) -> str:
    """What to suspect of a connection that broke: the proxy, where there is one."""
    proxy = proxy_for(url, environ)
    if proxy is None or proxy.problem:
        return ""
    return say(
        "it goes through a proxy ({variable} is {shown}): see that this is one, and "
        "NO_PROXY",
        variable=proxy.variable,
        shown=proxy.shown,
    )


def _is_exempt(url: str, environ: Mapping[str, str]) -> bool:
    listed = environ.get("no_proxy") or environ.get("NO_PROXY")
    if not listed:
        return False
    # NO_PROXY has rules of its own for ports, networks and leading dots.
    from requests.utils import should_bypass_proxies

    return should_bypass_proxies(url, no_proxy=listed)


def read_proxy(variable: str, value: str) -> Proxy:
    """What a proxy variable says, and what is wrong with it."""
    scheme, separator, rest = value.partition("://")
    kind, rest = (scheme.lower(), rest) if separator else ("http", value)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    secrets = _logins(rest)
    problem = _spelling(rest, authority) or _kind_problem(kind)
    login, _, host = authority.rpartition("@")
    try:
        parts = urlsplit(f"//{host}")
        shown = parts.hostname or ""
        shown += f":{parts.port}" if parts.port else ""
    except ValueError:
        shown = ""
    if not problem and (not shown or re.search(r"[^A-Za-z0-9.:_-]", shown)):
        problem = say("names no host and port")
    if problem:
        return Proxy(variable, "", glued(variable, " ", problem), secrets)
    if login:
        shown = say("{proxy} with a login", proxy=shown)
    return Proxy(variable, shown, "", secrets)


def _spelling(rest: str, authority: str) -> str:
    if re.search(r"\s", rest):
        return say("has a space or newline in it")
    if re.search(r"[\"'<>{}]", rest[:1] + rest[-1:]):
        return say("has quotation marks or brackets around it")
    if "@" in rest[len(authority) :]:
        return say(
            "has a character in its user name or password that must be %-encoded: "
            "write %23 for #, %2F for / and %3F for ?"
        )
    return ""


def _kind_problem(kind: str) -> str:
    if kind not in _KINDS:
        return say(
            "is of a kind that cannot be used; known are {kinds}",
            kinds=", ".join(_KINDS),
        )
    if kind.startswith("socks") and find_spec("socks") is None:
        return say(
            "names a SOCKS proxy, which needs a package that is not installed: pip "
            "install pysocks"
        )
    return ""


def _logins(rest: str) -> tuple[str, ...]:
    """All that may be a password, or a part of one that was cut in two."""
    login, found, _ = rest.rpartition("@")
    if not found:
        return ()
    password = login.partition(":")[2] or login
    pieces = (password, *re.split(r"[/?#]", password))
    return tuple({text for piece in pieces for text in (piece, unquote(piece)) if text})


def tls_problem(environ: Mapping[str, str]) -> str:
    """What is wrong with the files that TLS needs; "" when all is well."""
    bundle = next((name for name in _BUNDLES if environ.get(name)), None)
    told = (
        _bundle_problem(bundle, environ[bundle]) if bundle else "",
        _key_log_problem(environ.get(_KEY_LOG, "")),
    )
    return joined("; ", filter(None, told))


def _bundle_problem(variable: str, value: str) -> str:
    import ssl

    path = Path(value)
    if value[0] in "\"'" or value[-1] in "\"'":
        return say(
            "{variable} has quotation marks around it: {value}",
            variable=variable,
            value=value,
        )
    try:
        if path.is_dir():
            if not any(map(_HASHED.fullmatch, os.listdir(path))):  # noqa: PTH208
                return say(
                    "{variable} names a directory without certificates by their hash: "
                    "{value} (openssl rehash makes them; or name a file)",
                    variable=variable,
                    value=value,
                )
        elif not path.exists():
            return say(
                "{variable} names a file that is not there: {value}",
                variable=variable,
                value=value,
            )
        elif not path.is_file():
            return say(
                "{variable} names a FIFO, socket or device, not a file: {value}",
                variable=variable,
                value=value,
            )
        else:
            now = path.stat()
            _load_bundle(path, (now.st_ino, now.st_size, now.st_mtime_ns))
    except ssl.SSLError:
        return say(
            "{variable} names a file without a certificate in PEM form: {value}",
            variable=variable,
            value=value,
        )
    except (OSError, ValueError) as error:
        why = reason_of(error) if isinstance(error, OSError) else error
        return say(
            "{variable} names a file that cannot be read: {value} ({why})",
            variable=variable,
            value=value,
            why=why,
        )
    return ""


@lru_cache(maxsize=8)
def _load_bundle(path: Path, _state: tuple[int, ...]) -> None:
    """Read the certificates of a file; a good state of it once.

    Settings are read several times in a run, and all certificates of a system take
    20 ms. Raises `ssl.SSLError` and `OSError`.
    """
    import ssl

    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)


def _key_log_problem(value: str) -> str:
    if not value:
        return ""
    path = os.path.expandvars(value)  # as urllib3 does
    try:
        # The very thing that happens at the first connection, but that a FIFO which
        # nobody reads is not waited for.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK
        os.close(os.open(path, flags, 0o600))
    except (OSError, ValueError) as error:
        why = reason_of(error) if isinstance(error, OSError) else error
        return say(
            "{key_log} names a file that cannot be written: {path} ({why})",
            key_log=_KEY_LOG,
            path=path,
            why=why,
        )
    return ""
