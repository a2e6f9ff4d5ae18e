"""Every exception of oss2, requests and urllib3 becomes one of ours, at this place."""

from __future__ import annotations

import os
import re
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from preflight.catalog.endpoints import PRIVATE, public_endpoint
from preflight.catalog.explanations import Service, explain
from preflight.catalog.permissions import Permission
from preflight.errors import (
    AccessDenied,
    ConfigurationError,
    PreflightError,
    TransferError,
    UsageError,
    VerificationFailed,
)
from preflight.http import PORTAL, Cause, why_unreached
from preflight.language import glued, joined, say
from preflight.oss.access import OssAccess
from preflight.oss.models import parse_parts
from preflight.retry import Transient
from preflight.settings.network import proxy_hint

if TYPE_CHECKING:
    from oss2.exceptions import ServerError


class OssUnavailable(Transient, TransferError):
    """OSS, or the way to it, failed in a manner that often passes."""


class Missing(TransferError):
    """The object or the multipart upload does not exist."""


class OutOfDescriptors(ConfigurationError):
    """This process may open no more files or connections: `ulimit -n`."""


class PermissionMissing(AccessDenied):
    """The key is good, but may not do this."""


class KeysExpired(AccessDenied):
    """The key or token ended, or is not known any more; fresh ones may do."""


class Skewed(AccessDenied):
    """This machine's clock is off; `ahead` is how many seconds OSS's is before it."""

    def __init__(
        self, message: str, *, hint: str, request_id: str, ahead: float
    ) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.ahead = ahead


class Damaged(Transient, VerificationFailed):
    """OSS holds other bytes than were sent: sent again, they mostly arrive whole."""

    is_outage = False


class Refused(TransferError):
    """OSS understood the request and will not do it; asking again changes nothing."""


class Superseded(Refused):
    """Under this key lies another object than the one that was asked for."""


class Occupied(Refused):
    """An object of that key exists, and the request must not overwrite one."""


@dataclass(frozen=True, slots=True)
class Allow:
    """The permission that a call needs, and the resource that it is needed on."""

    permission: Permission | None = None
    resource: str = ""

    def told(self, error: ServerError, message: str) -> str:
        """`message [oss:PutObject on acs:…]`; the action that OSS names comes first."""
        named = re.search(r"<AuthAction>\s*([\w:]+)\s*<", _text(error.body))
        action = named[1] if named else self.permission and self.permission.value
        if not action:
            return message
        if not self.resource:
            return glued(message, f" [{action}]")
        return say(
            "{message} [{action} on {resource}]",
            message=message,
            action=action,
            resource=self.resource,
        )


NOTHING = Allow()
_SMALLER = say(
    "give a smaller --part-size, or let requests to OSS pass by: see NO_PROXY"
)
# What says that a permission lacks; "" is an answer to HEAD that lost its header. Other
# refusals speak of a quota, of a service that is not activated, of a setting.
_LACKING = {"AccessDenied", "Forbidden", ""}
_CONNECTING = "preflight.oss.session"  # it only passes on how a connection is made

# Codes: OSS docs, "Error codes", read 2026-11.
# https://www.alibabacloud.com/help/en/oss/developer-reference/error-codes
_KEY_CODES = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "AccessKeyIdAndSecurityTokenNotMatch",
    "InvalidSecurityToken",
    "SecurityTokenExpired",
    "RequestTimeTooSkewed",
    "UserDisable",
}
_ENDED_KEYS = {"SecurityTokenExpired", "InvalidAccessKeyId", "InvalidSecurityToken"}
# The last three speak of a body that was cut or damaged on its way.
_TRANSIENT_CODES = {
    "RequestTimeout",
    "BadRequest",
    "TooManyRequests",
    "Throttling",
    "IncompleteBody",
    "BadDigest",
    "InvalidDigest",
}
_TRANSIENT_STATUS = {408, 429}
_REFUSALS = {"FileAlreadyExists": Occupied, "PreconditionFailed": Superseded}


def _text(body: object) -> str:
    return body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)


def not_oss(action: str, status: object = "") -> TransferError:
    """The error for an answer that OSS cannot have written."""
    if status == 413:  # no limit of OSS's own, which names its error
        told = say("{action}: a gateway takes no request of this size", action=action)
        return TransferError(glued(told, " (HTTP 413)"), hint=_SMALLER)
    told = say("{action}: the answer is not from OSS", action=action)
    if status:
        told = glued(told, f" (HTTP {status})")
    return TransferError(told, hint=PORTAL)


def _wait(headers: Mapping[str, str]) -> float:
    """Seconds that a throttled answer asks for; 0 when it does not."""
    value = str(headers.get("x-oss-qos-delay-time", ""))
    return int(value) / 1000 if value.isdecimal() else 0.0


def _seconds_ahead(error: ServerError) -> float:
    """How far OSS's clock is before ours; 0 when the answer does not say."""
    for text in (error.details.get("ServerTime"), error.headers.get("Date")):
        for form in ("%Y-%m-%dT%H:%M:%S.%fZ", "%a, %d %b %Y %H:%M:%S GMT"):
            with suppress(ValueError):
                moment = datetime.strptime(str(text), form).replace(tzinfo=timezone.utc)
                return moment.timestamp() - time.time()
    return 0.0


def _foreign(status: int, action: str) -> PreflightError:
    """An error status without a request id: something between us and OSS spoke."""
    if status == 407:
        return ConfigurationError(
            say("{action}: the proxy asks for a login", action=action), hint=PORTAL
        )
    if status >= 500 or status in _TRANSIENT_STATUS:
        return OssUnavailable(
            say(
                "{action}: a gateway answered HTTP {status}",
                action=action,
                status=status,
            ),
            hint=PORTAL,
            why=say("a gateway answers HTTP {status}", status=status),
        )
    return not_oss(action, status)


def _refused(
    error: ServerError, message: str, hint: str, request_id: str, allow: Allow
) -> PreflightError:
    """401 and 403: is it the key, the endpoint or the permission?"""
    if error.code in _KEY_CODES:
        if error.code == "RequestTimeTooSkewed":
            ahead = _seconds_ahead(error)
            return Skewed(message, hint=hint, request_id=request_id, ahead=ahead)
        kind = KeysExpired if error.code in _ENDED_KEYS else AccessDenied
        return kind(message, hint=hint, request_id=request_id)
    if endpoint := error.details.get("Endpoint"):
        hint = say("set OSS_ENDPOINT to https://{endpoint}", endpoint=endpoint)
        return ConfigurationError(message, hint=hint, request_id=request_id)
    if error.code not in _LACKING:
        return AccessDenied(message, hint=hint, request_id=request_id)
    message = allow.told(error, message)
    return PermissionMissing(message, hint=hint, request_id=request_id)


def _missing(
    error: ServerError, message: str, hint: str, request_id: str, region: str
) -> PreflightError:
    if error.code != "NoSuchBucket":
        return Missing(message, hint=hint, request_id=request_id)
    told = say("the bucket does not exist in {region} (NoSuchBucket)", region=region)
    if bucket := error.details.get("BucketName"):
        told = say(
            "bucket {bucket} does not exist in {region} (NoSuchBucket)",
            bucket=bucket,
            region=region,
        )
    return UsageError(told, hint=hint, request_id=request_id)


def _answered(
    error: ServerError, action: str, access: OssAccess, allow: Allow
) -> PreflightError:
    """An error that OSS itself answered."""
    status, details = int(error.status), error.details
    request_id = str(error.request_id or details.get("RequestId", ""))
    if not request_id:
        return _foreign(status, action)
    words = [
        glued(action, f": HTTP {status}"),
        str(error.code),
        str(error.message or ""),
    ]
    # In the body; of an answer without one, to HEAD, in a header.
    ec = str(error.ec or error.headers.get("x-oss-ec", ""))
    if ec:
        words.append(f"(EC {ec})")
    message = access.mask(joined(" ", [word for word in words if word]))
    code, said = str(error.code), str(error.message or "")
    found = explain(Service.OSS, code=code, said=said, ec=ec)
    hint = found.remedy if found else ""
    if status in (401, 403):
        return _refused(error, message, hint, request_id, allow)
    if status == 404:
        return _missing(error, message, hint, request_id, access.region)
    passes = status >= 500 or status in _TRANSIENT_STATUS
    if passes or code in _TRANSIENT_CODES:
        return OssUnavailable(
            message,
            hint=hint,
            request_id=request_id,
            wait=_wait(error.headers),
            why=f"{status} {code}".strip(),
        )
    if code == "PublicEndpointForbidden":
        return ConfigurationError(message, hint=hint, request_id=request_id)
    kind = _REFUSALS.get(code, Refused)
    return kind(message, hint=hint, request_id=request_id)


def _unreached(error: BaseException, action: str, access: OssAccess) -> PreflightError:
    """No answer came: the network, TLS, a proxy, or the address itself."""
    why = why_unreached(error, access.host, mask=access.mask)
    message = glued(action, ": ", why.words)
    if why.cause is Cause.DESCRIPTORS:
        return OutOfDescriptors(message, hint=why.hint)
    if why.is_setting:
        return ConfigurationError(message, hint=why.hint)
    hint = why.hint
    if access.kind in PRIVATE and not why.sent:
        public = public_endpoint(access.region)
        hint = say(
            "an {kind} endpoint is reached from inside its region alone: elsewhere "
            "set OSS_ENDPOINT to the public one, {public}",
            kind=access.kind.word,
            public=public,
        )
    hint = hint or proxy_hint(access.endpoint, os.environ)
    if why.passes:
        return OssUnavailable(message, hint=hint, sent=why.sent, why=why.words)
    return TransferError(message, hint=hint)


def _translate(
    error: Exception, action: str, access: OssAccess, allow: Allow
) -> PreflightError:
    from oss2 import exceptions as oss

    if isinstance(error, oss.RequestError):
        return _unreached(error.exception, action, access)
    if isinstance(error, oss.ServerError):
        return _answered(error, action, access, allow)
    if isinstance(error, oss.OssError):  # oss2 refuses to send it
        text = access.mask(str(error.body or error))
        return ConfigurationError(glued(action, ": ", text))
    if isinstance(error, OSError):  # requests' and urllib3's, while reading an answer
        return _unreached(error, action, access)
    return not_oss(action)


def _is_ours(error: Exception) -> bool:
    """Whether code of ours broke while a body was read for sending.

    What `models` raises is an answer that it could not read.
    """
    if isinstance(error, OSError):
        return False
    frames = traceback.walk_tb(error.__traceback__)
    modules = [frame.f_globals.get("__name__", "") for frame, _ in frames]
    begun = (i for i, module in enumerate(modules) if module.startswith("oss2."))
    # Below oss2 it called us back: for a body, or for what lies below that in turn.
    below = modules[next(begun, len(modules) - 1) :]
    ours = (module for module in below if module.startswith("preflight."))
    return any(module not in (parse_parts.__module__, _CONNECTING) for module in ours)


@contextmanager
def translated(
    action: str, access: OssAccess, allow: Allow = NOTHING
) -> Iterator[None]:
    """Raise what goes wrong inside as a `PreflightError`, its cause attached.

    `action` says in a few words what was tried, `allow` what the key must be allowed
    for it. Errors of our own pass unchanged.
    """
    from urllib3.exceptions import HTTPError

    try:
        yield
    except PreflightError:
        raise
    except HTTPError as exc:
        raise _unreached(exc, action, access) from exc
    # oss2's own tree, broken XML (RuntimeError, ParseError) and broken numbers
    except (OSError, RuntimeError, ValueError, ParseError) as exc:
        if _is_ours(exc):
            raise
        raise _translate(exc, action, access, allow) from exc
    except Exception as exc:
        from oss2.exceptions import OssError

        if not isinstance(exc, OssError):
            raise
        raise _translate(exc, action, access, allow) from exc
