"""Answers as werkzeug responses; the only place that sets OSS's common headers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from email.utils import formatdate

from werkzeug.wrappers import Request, Response

from preflight.sandbox.call import FaultAnswer, call_of, fault_answer, request_line
from preflight.sandbox.faults import Action
from preflight.sandbox.oss.errors import KINDS, OssError
from preflight.sandbox.oss.records import StoredObject
from preflight.sandbox.oss.xml import Node, document, error_document


def xml(tag: str, children: Sequence[Node] | str) -> Response:
    """200 with a document."""
    return Response(document(tag, children), 200, content_type="application/xml")


def empty(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A status without a body."""
    answer = Response(b"", status, dict(headers or {}))
    del answer.headers["Content-Type"]
    if status != 204:
        answer.headers["Content-Length"] = "0"
    return answer


def quoted(etag: str) -> str:
    """An ETag as headers and XML show it."""
    return f'"{etag}"'


def object_headers(found: StoredObject) -> dict[str, str]:
    """What HeadObject and GetObject say of an object (OSS docs, "HeadObject")."""
    headers = {
        "ETag": quoted(found.etag),
        "Last-Modified": formatdate(found.last_modified, usegmt=True),
        "Content-Type": found.attributes.content_type,
        "Accept-Ranges": "bytes",
        "x-oss-object-type": found.attributes.kind,
        "x-oss-storage-class": found.storage_class,
        "x-oss-hash-crc64ecma": str(found.crc64),
        **found.attributes.headers,
    }
    if found.attributes.tags:
        headers["x-oss-tagging-count"] = str(len(found.attributes.tags))
    if found.attributes.kind == "Appendable":
        headers["x-oss-next-append-position"] = str(found.size)
    if found.content.md5:
        digest = bytes.fromhex(found.content.md5)
        headers["Content-MD5"] = base64.b64encode(digest).decode()
    return headers


def error(request: Request, cause: OssError) -> Response:
    """An error as OSS answers it.

    HEAD has no body, so the document comes base64-encoded in `x-oss-err` (OSS docs,
    "Common HTTP headers"); a 304 has neither.
    """
    call = call_of(request)
    if cause.code == "NotImplemented":
        cause.details["Request"] = request_line(request)
    body = error_document(cause, request_id=call.request_id, host=request.host)
    answer = Response(body, cause.status, content_type="application/xml")
    if cause.code == "PositionNotEqualToLength":
        answer.headers["x-oss-next-append-position"] = str(cause.details["Length"])
    if cause.ec:
        answer.headers["x-oss-ec"] = cause.ec
    if cause.status == KINDS["NotModified"].status:
        answer.set_data(b"")
    elif request.method == "HEAD":
        answer.headers["x-oss-err"] = base64.b64encode(body).decode()
    return answer


def planned(request: Request, cause: FaultAnswer) -> Response:
    """The error or page that a fault of the plan asks for."""
    fault, call = cause.fault, call_of(request)
    if fault.action is Action.CAPTIVE_PORTAL:
        return fault_answer(cause, request_id=call.request_id)
    made = OssError("InternalError", fault.message or fault.code)
    made.code, made.status = fault.code or made.code, fault.status
    answer = error(request, made)
    answer.headers.update(fault.headers)
    return answer


def signed_off(request: Request, answer: Response) -> Response:
    """The answer with the headers that every one of OSS has."""
    answer.headers["Server"] = "AliyunOSS"
    answer.headers["x-oss-request-id"] = call_of(request).request_id
    answer.headers["x-oss-server-time"] = "1"
    return answer
