"""The four endpoints of the import API over HTTP; all else answers 501."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from preflight.sandbox.call import request_line
from preflight.sandbox.faults import Action
from preflight.sandbox.server import call_of, operation
from preflight.sandbox.studio.bodies import parse_create, parse_list
from preflight.sandbox.studio.errors import (
    StudioError,
    invalid_api_key,
    invalid_parameter,
    unknown_to_sandbox,
)
from preflight.sandbox.studio.state import StudioState

BASE_PATH = "/api/v1"
IMPORTS = f"{BASE_PATH}/custom_models/import"
_MAX_BODY = 1 << 20  # bytes

Output = dict[str, Any]


class StudioRoutes:
    """The handler for an `Endpoint`: one key is valid, that of this region."""

    def __init__(self, state: StudioState, *, api_key: str) -> None:
        self.state = state
        self.api_key = api_key
        self.key_expired = False

    def __call__(self, request: Request) -> Response:
        """Answer one request; raises what `operation` raises for a due fault."""
        try:
            output = self._route(request)
        except StudioError as error:
            if error.status == 501:
                error.message += f" It was asked for {request_line(request)}"
            return _json({"code": error.code, "message": error.message}, error.status)
        return _json({"output": output}, 200)

    def _route(self, request: Request) -> Output:
        name, act, job_id = self._find(request)
        # The whole request is here before anything happens to it, so that a client
        # that ends in the middle of sending it has asked for nothing.
        raw = _body(request)
        call = operation(request, name, job_id)
        if call.fault(Action.EXPIRE_TOKEN) is not None:
            self.key_expired = True
        self._check_key(request.headers.get("Authorization", ""))
        if name != "ListImportJobs" and request.args:
            raise unknown_to_sandbox("this call takes no query parameters")
        return act(request, job_id, raw)

    def _find(
        self, request: Request
    ) -> tuple[str, Callable[[Request, str, bytes], Output], str]:
        collection = {
            "POST": ("CreateImportJob", self._create),
            "GET": ("ListImportJobs", self._list),
        }
        item = {
            "GET": ("GetImportJob", self._get),
            "DELETE": ("DeleteImportJob", self._delete),
        }
        root, _, job_id = request.path.rpartition("/")
        if request.path == IMPORTS and request.method in collection:
            return (*collection[request.method], "")
        if root == IMPORTS and job_id and request.method in item:
            return (*item[request.method], job_id)
        raise unknown_to_sandbox("no such endpoint in the import API")

    def _check_key(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        if not authorization:
            raise invalid_api_key("No API-key provided.")
        if scheme != "Bearer" or key != self.api_key or self.key_expired:
            raise invalid_api_key("Invalid API-key provided.")

    def _create(self, request: Request, _: str, raw: bytes) -> Output:
        if request.mimetype != "application/json":
            raise invalid_parameter("Content-Type has to be application/json.")
        job = self.state.create(parse_create(raw))
        shown = job.output(self.state.policy.success_spelling)
        return shown | {"weight_type": job.weight_type.value}

    def _list(self, request: Request, _: str, __: bytes) -> Output:
        wanted = parse_list(request.args)
        total, jobs = self.state.page(wanted)
        spelling = self.state.policy.success_spelling
        return {
            "total": total,
            "page_no": wanted.page_no,
            "page_size": wanted.page_size,
            "list": [job.output(spelling) for job in jobs],
        }

    def _get(self, _: Request, job_id: str, __: bytes) -> Output:
        return self.state.get(job_id).output(self.state.policy.success_spelling)

    def _delete(self, _: Request, job_id: str, __: bytes) -> Output:
        return self.state.delete(job_id).output(self.state.policy.success_spelling)


def _body(request: Request) -> bytes:
    raw = bytearray()
    for piece in call_of(request).body.pieces():
        raw += piece
        if len(raw) > _MAX_BODY:
            raise invalid_parameter("The request body is too large.")
    return bytes(raw)


def _json(value: Output, status: int) -> Response:
    answer = {"request_id": str(uuid.uuid4()), **value}
    text = json.dumps(answer, ensure_ascii=False)
    return Response(text, status, content_type="application/json")
