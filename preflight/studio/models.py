"""What came back over HTTP: an answer in the API's own form, or a typed error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from preflight.catalog.explanations import Explanation, Service, explain
from preflight.errors import (
    AccessDenied,
    ImportFailed,
    PreflightError,
    ServiceUnavailable,
)
from preflight.hidden import masked
from preflight.http import PORTAL, what_came
from preflight.language import glued, joined, say
from preflight.retry import Transient

_SHOWN = 300  # characters of a server's message
_MOMENTARY = (408, 425, 429)
_MOMENTARY_CODES = ("Throttling", "InternalError", "SystemError", "RequestTimeOut")
_REFUSALS = ("InvalidParameter", "OperationDenied", "Arrearage")
_REQUEST_ID_HEADERS = ("x-request-id", "x-dashscope-request-id", "request-id")


class NotFound(ImportFailed):
    """There is no such job, as far as this key may see; or the base is not known."""


class StudioUnavailable(Transient, ServiceUnavailable):
    """Model Studio, or the way to it, failed in a manner that often passes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its `output` and the request's id."""

    output: Mapping[str, Any]
    request_id: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response read to its end; header names are in lower case."""

    asked: str  # such as "GET /custom_models/import"
    host: str
    region: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def form(self) -> Mapping[str, Any] | None:
        """The body as a JSON object, or None when it is anything else."""
        try:
            form = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return form if isinstance(form, dict) else None


def clean(text: object) -> str:
    """A server's words made fit for one line of a terminal."""
    line = " ".join(masked(str(text)).split())  # before it is cut
    printable = "".join(c if c.isprintable() else "?" for c in line)
    return printable if len(printable) <= _SHOWN else printable[:_SHOWN] + "…"


def retry_after(headers: Mapping[str, str]) -> float:
    """The header `Retry-After` in seconds from now; 0 when absent or unreadable."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0


def read_answer(reply: Reply) -> Answer:
    """The answer in a reply.

    Raises `AccessDenied`, `ImportFailed`, `ServiceUnavailable` or `Transient`.
    """
    if reply.status == 204:
        return Answer({}, _request_id(reply, {}))
    form = reply.form()
    if 300 <= reply.status < 400 or form is None:
        raise _foreign(reply)
    request_id = _request_id(reply, form)
    output = form.get("output")
    if reply.status < 300 and (output is not None or not form.get("code")):
        return Answer(output if isinstance(output, dict) else {}, request_id)
    raise _refusal(reply, form, request_id)


def _request_id(reply: Reply, form: Mapping[str, Any]) -> str:
    named = (reply.headers.get(name) for name in _REQUEST_ID_HEADERS)
    return clean(form.get("request_id") or next(filter(None, named), ""))


def _foreign(reply: Reply) -> PreflightError:
    """The error for a reply that is not from the API, or not whole."""
    request_id = _request_id(reply, {})
    if 300 <= reply.status < 400:
        # Following it would hand the key to whoever it names.
        target = clean(reply.headers.get("location", "nowhere"))
        message = say(
            "{asked}: {host} redirects to {target}; not followed",
            asked=reply.asked,
            host=reply.host,
            target=target,
        )
        hint = say("check DASHSCOPE_HTTP_BASE_URL and the proxy")
        return ServiceUnavailable(message, hint=hint, request_id=request_id)
    came = what_came(reply.status, reply.headers, reply.body)
    message = say(
        "{asked}: {host} answered with {came}, not JSON",
        asked=reply.asked,
        host=reply.host,
        came=came,
    )
    hint = say("{portal}; check DASHSCOPE_HTTP_BASE_URL", portal=PORTAL)
    if reply.status < 300 or reply.status >= 500 or reply.status in _MOMENTARY:
        wait = retry_after(reply.headers)
        return StudioUnavailable(message, hint=hint, request_id=request_id, wait=wait)
    return ServiceUnavailable(message, hint=hint, request_id=request_id)


def _refusal(reply: Reply, form: Mapping[str, Any], request_id: str) -> PreflightError:
    code, said = clean(form.get("code") or ""), clean(form.get("message") or "")
    told = ": ".join(filter(None, (code, said))) or f"HTTP {reply.status}"
    found = explain(Service.STUDIO, code=code, said=said)
    message: str = f"{reply.asked}: {told}"
    if found:
        message = glued(message, " (", found.cause, ")")
    kind = _kind(reply.status, code)
    hint = _hint(reply, found, denied=kind is AccessDenied)
    if kind is StudioUnavailable:
        wait = retry_after(reply.headers)
        # A throttled request was turned away at the door.
        sent = reply.status != 429 and not code.startswith("Throttling")
        return StudioUnavailable(
            message, hint=hint, request_id=request_id, wait=wait, sent=sent
        )
    return kind(message, hint=hint, request_id=request_id)


def _kind(status: int, code: str) -> Callable[..., PreflightError]:
    """The class of a refusal; the documentation leaves some codes' status open."""
    if code == "NotFound":
        return NotFound
    if code in _REFUSALS:
        return ImportFailed
    if status == 501:
        return ServiceUnavailable
    if status in (401, 403) or code.startswith(("InvalidApiKey", "AccessDenied")):
        return AccessDenied
    if status >= 500 or status in _MOMENTARY or code.startswith(_MOMENTARY_CODES):
        return StudioUnavailable
    return ImportFailed


def _hint(reply: Reply, found: Explanation | None, *, denied: bool) -> str:
    remedy = found.remedy if found else ""
    if not denied:
        return remedy
    where = (
        say("{host}, region {region}", host=reply.host, region=reply.region)
        if reply.region
        else reply.host
    )
    key = say(
        "the key was sent to {where}: a key of another region is refused there",
        where=where,
    )
    return joined("; ", [remedy, key]) if remedy else key
