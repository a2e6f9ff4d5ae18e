"""Every exception of oss2, requests and urllib3 becomes one of ours, at this place."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from xml.etree.ElementTree import ParseError

from preflight.errors import (
    AccessDenied,
    ConfigurationError,
    PreflightError,
    TransferError,
    UsageError,
    VerificationFailed,
)
from preflight.http import PORTAL, why_unreached
from preflight.oss.access import OssAccess
from preflight.retry import Transient

if TYPE_CHECKING:
    from oss2.exceptions import ServerError


class OssUnavailable(Transient, TransferError):
    """OSS, or the way to it, failed in a manner that often passes."""


class Missing(TransferError):
    """The object or the multipart upload does not exist."""


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


class Refused(TransferError):
    """OSS understood the request and will not do it; asking again changes nothing."""


class Occupied(Refused):
    """An object of that key exists, and the request must not overwrite one."""


# Codes: OSS docs, "Error codes", read 2026-11.
# https://www.alibabacloud.com/help/en/oss/developer-reference/error-codes
_KEY_ERRORS = {
    "InvalidAccessKeyId": "check OSS_ACCESS_KEY_ID; temporary keys need their token",
    "SignatureDoesNotMatch": "check OSS_ACCESS_KEY_SECRET and OSS_REGION",
    "InvalidSecurityToken": "check the security token; it belongs to one key pair",
    "SecurityTokenExpired": "get fresh temporary keys; the same command then goes on",
    "RequestTimeTooSkewed": "set this machine's clock; 15 minutes are tolerated",
    "UserDisable": "the account is disabled; an overdue payment is the usual cause",
}
_ENDED_KEYS = {"SecurityTokenExpired", "InvalidAccessKeyId", "InvalidSecurityToken"}
_TRANSIENT_CODES = {"RequestTimeout", "BadRequest", "TooManyRequests", "Throttling"}
_TRANSIENT_STATUS = {408, 429}


def not_oss(action: str, status: object = "") -> TransferError:
    """The error for an answer that OSS cannot have written."""
    words = f" (HTTP {status})" if status else ""
    return TransferError(f"{action}: the answer is not from OSS{words}", hint=PORTAL)


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
        return ConfigurationError(f"{action}: the proxy asks for a login", hint=PORTAL)
    if status >= 500 or status in _TRANSIENT_STATUS:
        return OssUnavailable(
            f"{action}: a gateway answered HTTP {status}", hint=PORTAL
        )
    return not_oss(action, status)


def _refused(error: ServerError, message: str, request_id: str) -> PreflightError:
    """401 and 403: is it the key, the endpoint or the permission?"""
    if hint := _KEY_ERRORS.get(error.code):
        if error.code == "RequestTimeTooSkewed":
            ahead = _seconds_ahead(error)
            return Skewed(message, hint=hint, request_id=request_id, ahead=ahead)
        kind = KeysExpired if error.code in _ENDED_KEYS else AccessDenied
        return kind(message, hint=hint, request_id=request_id)
    if endpoint := error.details.get("Endpoint"):
        return ConfigurationError(
            message,
            hint=f"set OSS_ENDPOINT to https://{endpoint}",
            request_id=request_id,
        )
    return PermissionMissing(
        message,
        hint="the RAM policy of this key must allow it; see `preflight doctor`",
        request_id=request_id,
    )


def _missing(error: ServerError, message: str, request_id: str) -> PreflightError:
    if error.code == "NoSuchBucket":
        return UsageError(
            message, hint="check the bucket's name and region", request_id=request_id
        )
    return Missing(message, request_id=request_id)


def _answered(error: ServerError, action: str, access: OssAccess) -> PreflightError:
    """An error that OSS itself answered."""
    status, details = int(error.status), error.details
    request_id = str(error.request_id or details.get("RequestId", ""))
    if not request_id:
        return _foreign(status, action)
    words = [f"{action}: HTTP {status}", str(error.code), str(error.message or "")]
    if error.ec:
        words.append(f"(EC {error.ec})")
    message = access.mask(" ".join(word for word in words if word))
    if status in (401, 403):
        return _refused(error, message, request_id)
    if status == 404:
        return _missing(error, message, request_id)
    passes = status >= 500 or status in _TRANSIENT_STATUS
    if passes or error.code in _TRANSIENT_CODES:
        return OssUnavailable(message, request_id=request_id, wait=_wait(error.headers))
    kind = Occupied if error.code == "FileAlreadyExists" else Refused
    return kind(message, request_id=request_id)


def _unreached(error: BaseException, action: str, access: OssAccess) -> PreflightError:
    """No answer came: the network, TLS, a proxy, or the address itself."""
    why = why_unreached(error, access.host, mask=access.mask)
    message = f"{action}: {why.words}"
    if why.is_setting:
        return ConfigurationError(message, hint=why.hint)
    if why.passes:
        return OssUnavailable(message, hint=why.hint, sent=why.sent)
    return TransferError(message, hint=why.hint)


def _translate(error: Exception, action: str, access: OssAccess) -> PreflightError:
    from oss2 import exceptions as oss

    if isinstance(error, oss.RequestError):
        return _unreached(error.exception, action, access)
    if isinstance(error, oss.ServerError):
        return _answered(error, action, access)
    if isinstance(error, oss.OssError):  # oss2 refuses to send it
        text = access.mask(str(error.body or error))
        return ConfigurationError(f"{action}: {text}")
    if isinstance(error, OSError):  # requests' and urllib3's, while reading an answer
        return _unreached(error, action, access)
    return not_oss(action)


@contextmanager
def translated(action: str, access: OssAccess) -> Iterator[None]:
    """Raise what goes wrong inside as a `PreflightError`, its cause attached.

    `action` says in a few words what was tried. Errors of our own pass unchanged.
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
        raise _translate(exc, action, access) from exc
    except Exception as exc:
        from oss2.exceptions import OssError

        if not isinstance(exc, OssError):
            raise
        raise _translate(exc, action, access) from exc
