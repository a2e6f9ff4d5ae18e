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
    buckets,
    lists,
    objects,
    replies,
    routing,
    signature,
)
from preflight.sandbox.oss.checks import check_bucket_name
from preflight.sandbox.oss.errors import ContentNotKept, OssError
from preflight.sandbox.oss.routing import Context, Route
from preflight.sandbox.oss.signing import Account, SignedRequest
from preflight.sandbox.oss.state import OssState

ROUTES = (*lists.ROUTES, *buckets.ROUTES, *objects.ROUTES)
_ANONYMOUS = frozenset({"GetObject", "HeadObject", "GetObjectMeta"})
_NO_PERMISSION = "0003-00000001"  # OSS docs, support/0003-00000001
# OSS docs, "GetBucketInfo": "from any OSS endpoint"; so does GetBucketLocation.
_ANY_ENDPOINT = frozenset({"GetBucketInfo", "GetBucketLocation", "PutBucket"})


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
        state.expire(signature.claimed_id(_signed(context)))
    _authorize(context, route)
    return route.answer(context)


def _signed(context: Context) -> SignedRequest:
    headers = {name.lower(): text for name, text in context.request.headers.items()}
    return SignedRequest(
        context.request.method, context.bucket, context.key, context.query, headers
    )


def _authorize(context: Context, route: Route) -> None:
    """Raises OssError unless the request may do what it asks for.

    OSS docs, "Authorization process of OSS": who is it, may he.
    """
    state = context.state
    account = Account(state.credentials, state.region, state.clock())
    who = signature.verify(_signed(context), account)
    if context.bucket:
        check_bucket_name(context.bucket)
    if who is None:
        allowed = route.name in _ANONYMOUS and not _is_private(context)
    else:
        allowed = who.may(route.name)
    if not allowed:
        named = {"AuthAction": route.name}
        raise OssError("AccessDenied", ec=_NO_PERMISSION, details=named)
    if context.bucket and route.name not in _ANY_ENDPOINT:
        _check_endpoint(context)


def _is_private(context: Context) -> bool:
    return not context.state.bucket(context.bucket).acl.startswith("public-read")


def _check_endpoint(context: Context) -> None:
    """A bucket of another region answers at its own endpoint alone.

    OSS docs, "HTTP status code 403": AccessDenied, with the right endpoint.
    """
    bucket = context.state.bucket(context.bucket)
    if bucket.region == context.state.region:
        return
    raise OssError(
        "AccessDenied",
        "The bucket you are attempting to access must be addressed using the specified"
        " endpoint. Please send all future requests to this endpoint.",
        details={
            "Bucket": bucket.name,
            "Endpoint": f"oss-{bucket.region}.aliyuncs.com",
        },
    )
