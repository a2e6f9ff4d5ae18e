"""From a request to an answer: recognise, apply faults, authenticate, do, reply."""

from __future__ import annotations

from werkzeug.wrappers import Request, Response

from preflight.sandbox.call import (
    BodyStalled,
    FaultAnswer,
    operation,
)
from preflight.sandbox.faults import Action
from preflight.sandbox.oss import (
    authorization,
    buckets,
    copies,
    lists,
    multipart,
    objects,
    replies,
    routing,
    signature,
    tagging,
)
from preflight.sandbox.oss.errors import ContentNotKept, OssError, not_offered
from preflight.sandbox.oss.routing import Context
from preflight.sandbox.oss.state import OssState

# A copy is a put with a header more, so it is looked for first.
ROUTES = (
    *lists.ROUTES,
    *buckets.ROUTES,
    *copies.ROUTES,
    *multipart.ROUTES,
    *tagging.ROUTES,
    *objects.ROUTES,
)


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
            answer = replies.error(request, not_offered(str(error)))
        return replies.signed_off(request, answer)


def _answer(state: OssState, request: Request) -> Response:
    context = routing.take_apart(state, request)
    _refuse_s3(context)
    route = routing.find(ROUTES, context)
    if route is None:
        named = sorted(context.query.keys() - signature.QUERY_NAMES)
        raise not_offered(f"this operation {named}")
    if header := routing.unknown_header(context, route):
        raise not_offered(f"the header {header} with {route.name}")
    call = operation(request, route.name, context.key)
    if call.fault(Action.EXPIRE_TOKEN) is not None:
        state.expire(signature.claimed_id(authorization.signed(context)))
    return route.answer(authorization.authorize(context, route))


def _refuse_s3(context: Context) -> None:
    """Clients of S3 sign in a way of their own.

    OSS docs, support/0002-00000033: "the S3-compatible mode is not enabled".
    """
    authorization = context.request.headers.get("Authorization", "")
    in_query = {name.lower() for name in context.query}
    if authorization.startswith(("AWS4-", "AWS ")) or "x-amz-algorithm" in in_query:
        why = "requests signed for S3, since it speaks the protocol of OSS alone"
        raise not_offered(why, ec="0002-00000033")
