"""The endpoints of the import and deployment APIs over HTTP; all else is 501."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from werkzeug.wrappers import Request, Response

from preflight.sandbox.call import request_line
from preflight.sandbox.faults import Action
from preflight.sandbox.server import call_of, operation
from preflight.sandbox.studio.bodies import (
    parse_body,
    parse_create,
    parse_list,
    parse_number,
    refuse_unknown,
)
from preflight.sandbox.studio.deployments import Deployments
from preflight.sandbox.studio.errors import (
    StudioError,
    invalid_api_key,
    invalid_parameter,
    unknown_to_sandbox,
)
from preflight.sandbox.studio.state import StudioState

BASE_PATH = "/api/v1"
IMPORTS = f"{BASE_PATH}/custom_models/import"
DEPLOYMENTS = f"{BASE_PATH}/deployments"
_MAX_BODY = 1 << 20  # bytes
_PAGES = ("page_no", "page_size")

Output = dict[str, Any]
Act = Callable[[Request, str, bytes], Output]


@dataclass(frozen=True, slots=True)
class _Route:
    """An endpoint; a `path` that ends in a slash is followed by an id."""

    name: str
    method: str
    path: str
    act: Act
    query: tuple[str, ...] = ()

    def id_in(self, request: Request) -> str | None:
        """The id in the request's path, empty without one; None for another path."""
        if self.method != request.method:
            return None
        if not self.path.endswith("/"):
            return "" if request.path == self.path else None
        root, _, found = request.path.rpartition("/")
        return found if found and f"{root}/" == self.path else None


class StudioRoutes:
    """The handler for an `Endpoint`: one key is valid, that of this region."""

    def __init__(
        self,
        state: StudioState,
        *,
        api_key: str,
        deployments: Deployments | None = None,
    ) -> None:
        self.state = state
        self.api_key = api_key
        self.key_expired = False
        self._routes = [
            _Route("CreateImportJob", "POST", IMPORTS, self._create),
            _Route(
                "ListImportJobs",
                "GET",
                IMPORTS,
                self._list,
                (*_PAGES, "status", "model_name"),
            ),
            _Route("GetImportJob", "GET", f"{IMPORTS}/", self._get),
            _Route("DeleteImportJob", "DELETE", f"{IMPORTS}/", self._delete),
        ]
        if deployments is not None:
            self._routes += _deployment_routes(deployments)

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
        route, item = self._find(request)
        # The whole request is here before anything happens to it, so that a client
        # that ends in the middle of sending it has asked for nothing.
        raw = _body(request)
        call = operation(request, route.name, item)
        if call.fault(Action.EXPIRE_TOKEN) is not None:
            self.key_expired = True
        self._check_key(request.headers.get("Authorization", ""))
        refuse_unknown(request.args, route.query, "query")
        if request.method == "POST" and request.mimetype != "application/json":
            raise invalid_parameter("Content-Type has to be application/json.")
        return route.act(request, item, raw)

    def _find(self, request: Request) -> tuple[_Route, str]:
        for route in self._routes:
            item = route.id_in(request)
            if item is not None:
                return route, item
        raise unknown_to_sandbox("this is no endpoint that it knows")

    def _check_key(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        if not authorization:
            raise invalid_api_key("No API-key provided.")
        if scheme != "Bearer" or key != self.api_key or self.key_expired:
            raise invalid_api_key("Invalid API-key provided.")

    def _create(self, _: Request, __: str, raw: bytes) -> Output:
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


def _deployment_routes(known: Deployments) -> list[_Route]:
    def create(_: Request, __: str, raw: bytes) -> Output:
        return known.create(parse_body(raw))

    def listed(request: Request, _: str, __: bytes) -> Output:
        number = parse_number(request.args, "page_no", 1, 1_000_000)
        return known.page(number, parse_number(request.args, "page_size", 50, 200))

    def models(request: Request, _: str, __: bytes) -> Output:
        source = request.args.get("model_source", "base")
        if source not in ("base", "custom"):
            raise invalid_parameter("model_source has to be base or custom.")
        number = parse_number(request.args, "page_no", 1, 1_000_000)
        size = parse_number(request.args, "page_size", 50, 100)
        return known.models(source, number, size)

    path = f"{DEPLOYMENTS}/"
    return [
        _Route(
            "ListDeployableModels",
            "GET",
            f"{DEPLOYMENTS}/models",
            models,
            (*_PAGES, "model_source", "version"),
        ),
        _Route("CreateDeployment", "POST", DEPLOYMENTS, create),
        _Route("ListDeployments", "GET", DEPLOYMENTS, listed, _PAGES),
        _Route("GetDeployment", "GET", path, lambda _, name, __: known.get(name)),
        _Route(
            "DeleteDeployment", "DELETE", path, lambda _, name, __: known.delete(name)
        ),
    ]


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
