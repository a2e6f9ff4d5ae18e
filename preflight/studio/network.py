"""What requests raises, as this tool's errors: was the request sent, may it pass?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from preflight.errors import ServiceUnavailable
from preflight.studio.models import Transient

if TYPE_CHECKING:
    import requests


@contextmanager
def translated(asked: str, host: str) -> Iterator[None]:
    """Raise `ServiceUnavailable` or `Transient` for what requests raises within."""
    import requests

    try:
        yield
    except requests.RequestException as error:
        # The request that it holds has the key among its headers.
        error.request = None
        raise _translate(asked, host, error) from error


def _translate(
    asked: str, host: str, error: requests.RequestException
) -> ServiceUnavailable:
    from requests import exceptions

    name = type(error).__name__
    if isinstance(error, ValueError):
        return ServiceUnavailable(f"{asked}: {host!r} is not a host that can be asked")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "behind an inspecting proxy, set REQUESTS_CA_BUNDLE to its certificate"
        message = f"{asked}: {host} shows no certificate that can be trusted"
        return ServiceUnavailable(message, hint=hint)
    if isinstance(error, exceptions.ProxyError):
        message = f"{asked}: the proxy did not let the request through to {host}"
        return Transient(message, hint="check HTTPS_PROXY and NO_PROXY", sent=False)
    if not _was_sent(error):
        hint = "check the network and DASHSCOPE_HTTP_BASE_URL"
        return Transient(f"{asked}: {host} cannot be reached", hint=hint, sent=False)
    if isinstance(error, exceptions.ReadTimeout):
        return Transient(f"{asked}: {host} did not answer in time")
    if isinstance(error, exceptions.ConnectionError):
        return Transient(f"{asked}: the connection to {host} broke ({name})")
    return Transient(f"{asked}: the answer of {host} is not whole ({name})")


def _was_sent(error: requests.RequestException) -> bool:
    """Whether the request may have left: not when no connection was made."""
    import urllib3
    from requests import exceptions

    if isinstance(error, exceptions.ConnectTimeout):
        return False
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return not isinstance(reason, urllib3.exceptions.NewConnectionError)
