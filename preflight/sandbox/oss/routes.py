"""From a request to an answer: recognise, apply faults, authenticate, do, reply."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from preflight.sandbox.call import (
    BodyStalled,
    FaultAnswer,
    operation,
    unknown_request,
)
from preflight.sandbox.faults import Action
from preflight.sandbox.oss import (
    authorization,
    buckets,
    lists,
    objects,
    replies,
    routing,
    signature,
)
from preflight.sandbox.oss.errors import ContentNotKept, OssError
from preflight.sandbox.oss.state import OssState

ROUTES = (*lists.ROUTES, *buckets.ROUTES, *objects.ROUTES)


class OssRoutes:
    """The handler of an `Endpoint("oss", ...)` that serves this state."""

    def __init__(self, state: OssState) -> None:
        self._state = state

    def __call__(self, request: Request) -> Response:
        """Answer one request as OSS does; errors become its XML."""
        try:
            answer = _answer(self._state, request)
        except OssError as error:
            answer = replies.error(request, error)
        except BodyStalled:
            answer = replies.error(request, OssError("RequestTimeout"))
        except FaultAnswer as cause:
            answer = replies.planned(request, cause)
            if cause.fault.action is Action.CAPTIVE_PORTAL:
                return answer
        except ContentNotKept as error:
            return unknown_request(request, str(error))
        return replies.signed_off(request, answer)


def _answer(state: OssState, request: Request) -> Response:
    context = routing.take_apart(state, request)
    route = routing.find(ROUTES, context)
    header = routing.unknown_header(context)
    if route is None or header:
        why = f"unknown header {header}" if header else "no such operation"
        return unknown_request(request, f"{why}; {sorted(context.query)}")
    call = operation(request, route.name, context.key)
    if call.fault(Action.EXPIRE_TOKEN) is not None:
        state.expire(signature.claimed_id(authorization.signed(context)))
    return route.answer(authorization.authorize(context, route))
