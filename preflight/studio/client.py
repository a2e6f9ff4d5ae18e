"""The one request function of the import API."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from preflight import __version__
from preflight.catalog.regions import region_of_base_url
from preflight.errors import AmbiguousAnswer, ConfigurationError, PreflightError
from preflight.settings import is_loopback
from preflight.settings.checks import credential_fault
from preflight.studio.clock import Clock, SystemClock, between
from preflight.studio.models import Answer, Reply, Transient, ahead, read_answer
from preflight.studio.network import translated

if TYPE_CHECKING:
    import requests

_log = logging.getLogger(__name__)

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two pieces of an answer
ATTEMPTS = 5  # of a GET
MAX_BODY = 8 << 20  # bytes; a full page of a hundred jobs has some 60 KB
MAX_DURATION = 180.0  # seconds for one answer, however slowly it drips in
_PIECE = 1024  # bytes; only when one is whole can the time be looked at
MAX_RETRY_AFTER = 120.0  # seconds; a server that asks for more is not waited for
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    # Jobs are small; a compressed answer could unfold to any size.
    "Accept-Encoding": "identity",
    "User-Agent": f"modelstudio-preflight/{__version__}",
}
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 20.0  # seconds


class StudioClient:
    """Talks to one base URL with one API key; also a context manager.

    The key goes into the header alone: no message, repr, log line or redirect
    carries it. `timeout` is (connect, read) in seconds. Raises `ConfigurationError`
    for a key that no header can carry.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        clock: Clock | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        attempts: int = ATTEMPTS,
    ) -> None:
        # http.client would quote a malformed key in its complaint.
        if not api_key or (fault := credential_fault("the API key", api_key)):
            raise ConfigurationError(fault if api_key else "there is no API key")
        self.base_url = base_url.rstrip("/")
        self.host = urlsplit(base_url).netloc
        self._api_key = api_key
        self._clock = clock or SystemClock()
        self._timeout = timeout
        self._attempts = attempts
        self._opened: requests.Session | None = None
        # Seconds that the service's clock is ahead of ours, by its last answer.
        self.clock_offset: float | None = None

    def __repr__(self) -> str:
        return f"StudioClient({self.base_url!r})"

    def __enter__(self) -> StudioClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """Send a request to `base_url + path` and read its answer.

        Only a GET is sent again, `attempts` times in all, as it changes nothing.
        Raises `AccessDenied` (401, 403), `ImportFailed` (other refusals),
        `ServiceUnavailable` (no answer of the API), and `AmbiguousAnswer` when
        another request than a GET may have been carried out.
        """
        if method != "GET":
            return self._send_once(method, path, query, body)
        left = attempts or self._attempts
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._send(method, path, query, body)
            except Transient as error:  # noqa: PERF203
                left -= 1
                if left <= 0 or error.retry_after > MAX_RETRY_AFTER:
                    raise
                _log.info("%s; trying again", error)
                # Full jitter, but never before the server allows it.
                self._clock.sleep(max(between(0.0, pause), error.retry_after))
                pause = min(pause * 2, _LONGEST_PAUSE)

    def _send_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Mapping[str, Any] | None,
    ) -> Answer:
        try:
            return self._send(method, path, query, body)
        except Transient as error:
            if not error.sent:
                raise
            raise AmbiguousAnswer(
                f"{error.message}; the request may have been carried out",
                hint="look with `preflight jobs` before sending it again",
                request_id=error.request_id,
            ) from error

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Mapping[str, Any] | None,
    ) -> Answer:
        asked = f"{method} {path}"
        try:
            with (
                translated(asked, self.host),
                self._exchange(method, path, query, body) as response,
            ):
                reply = self._read(asked, response)
            _log.debug("%s: HTTP %d, %d bytes", asked, reply.status, len(reply.body))
            return read_answer(reply)
        except PreflightError as error:
            self._mask(error)
            raise

    def _exchange(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None,
        body: Mapping[str, Any] | None,
    ) -> requests.Response:
        return self._session().request(
            method,
            self.base_url + path,
            params=query,
            data=None if body is None else json.dumps(body).encode(),
            headers=_HEADERS,
            timeout=self._timeout,
            allow_redirects=False,
            stream=True,
        )

    def _read(self, asked: str, response: requests.Response) -> Reply:
        body = bytearray()
        deadline = self._clock.now() + MAX_DURATION
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > MAX_BODY:
                limit = f"more than {MAX_BODY >> 20} MiB"
                raise Transient(f"{asked}: {self.host} answered with {limit}")
            if self._clock.now() > deadline:
                raise Transient(f"{asked}: the answer of {self.host} did not end")
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.clock_offset = ahead(headers.get("date", ""))
        region = region_of_base_url(self.base_url)
        status = response.status_code
        return Reply(asked, self.host, region, status, headers, bytes(body))

    def _session(self) -> requests.Session:
        if self._opened is None:
            import requests

            self._opened = requests.Session()
            # As `auth`, the key wins over an entry for the host in ~/.netrc.
            self._opened.auth = self._authorise
            # A proxy is for the world outside; loopback is reached without.
            self._opened.trust_env = not is_loopback(self.base_url)
        return self._opened

    def _authorise(
        self, prepared: requests.PreparedRequest
    ) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = f"Bearer {self._api_key}"
        return prepared

    def _mask(self, error: PreflightError) -> None:
        """Take the key out of an error: some servers quote it."""
        for name in ("message", "hint", "request_id"):
            text = getattr(error, name)
            if self._api_key and self._api_key in text:
                setattr(error, name, text.replace(self._api_key, "***"))
        error.args = (error.message,)
