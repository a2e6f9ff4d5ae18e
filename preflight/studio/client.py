"""The one request function of the import API."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from preflight import __version__
from preflight.catalog.endpoints import is_loopback
from preflight.catalog.explanations import Service, explain
from preflight.catalog.regions import region_of_base_url
from preflight.clock import Clock, SystemClock, seconds_ahead
from preflight.errors import (
    AccessDenied,
    AmbiguousAnswer,
    ConfigurationError,
    PreflightError,
    ServiceUnavailable,
)
from preflight.hidden import masked, without
from preflight.http import Unreached, reach_this_machine, why_unreached
from preflight.language import glued, say
from preflight.retry import Patience, Retry, Transient
from preflight.settings.credentials import credential_problem
from preflight.settings.network import proxy_hint
from preflight.studio.models import (
    Answer,
    Reply,
    StudioUnavailable,
    read_answer,
)
from preflight.waiting import Watch

if TYPE_CHECKING:
    import requests

_log = logging.getLogger(__name__)

TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds between two pieces of an answer
ATTEMPTS = 5  # of a GET
MAX_BODY = 8 << 20  # bytes; a full page of a hundred jobs has some 60 KB
MAX_DURATION = 180.0  # seconds for one answer, however slowly it drips in
_PIECE = 1024  # bytes; only when one is whole can the time be looked at
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    # Jobs are small; a compressed answer could unfold to any size.
    "Accept-Encoding": "identity",
    "User-Agent": f"modelstudio-preflight/{__version__}",
}


class StudioClient:
    """Talks to one base URL with one API key; also a context manager.

    The key goes into the header alone: no message, repr, log line or redirect
    carries it. `timeout` is (connect, read) in seconds. Once the service was reached, a
    GET is asked again for `patience` seconds, however often that is; before, the
    attempts of `retry` are all: an address that is wrong does not get right. Raises
    `ConfigurationError` for a key that no header can carry.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        clock: Clock | None = None,
        timeout: tuple[float, float] = TIMEOUT,
        retry: Retry | None = None,
        patience: float | None = None,
        watch: Watch | None = None,
    ) -> None:
        # http.client would quote a malformed key in its complaint.
        if not api_key or (problem := credential_problem(say("the API key"), api_key)):
            raise ConfigurationError(problem if api_key else say("there is no API key"))
        self.base_url = base_url.rstrip("/")
        self.host = urlsplit(base_url).netloc
        self._api_key = api_key
        self._clock = clock or SystemClock()
        self._timeout = timeout
        self._retry = retry or Retry(attempts=ATTEMPTS, base=1.0, cap=20.0)
        if clock is not None:
            self._retry = replace(self._retry, clock=clock)
        self._opened: requests.Session | None = None
        self._patience = patience
        self._was_reached = False
        self._watch = watch or Watch(say("Model Studio"))
        # Seconds that the service's clock is ahead of ours, by its last answer.
        self.clock_ahead: float | None = None

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
        self._watch.close()
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
        retry = self._retry_for(attempts)
        return retry.call(lambda: self._send(method, path, query, body))

    def _retry_for(self, attempts: int | None) -> Retry:
        if attempts is not None:
            return replace(self._retry, attempts=attempts)
        if self._patience is None or not self._was_reached:
            return self._retry
        patience = Patience(self._patience, self._clock)
        return replace(self._retry, attempts=None, patience=patience)

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
                say(
                    "{message}; the request may have been carried out",
                    message=error.message,
                ),
                hint=say("look with `preflight jobs` before sending it again"),
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
                self._watch.waiting(asked),
                _translated(asked, self.host, self.base_url),
                self._exchange(method, path, query, body) as response,
            ):
                reply = self._read(asked, response)
            self._was_reached = True
            _log.debug("%s: HTTP %d, %d bytes", asked, reply.status, len(reply.body))
            return read_answer(reply)
        except PreflightError as error:
            self._blame_plan(error)
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
                raise StudioUnavailable(
                    say(
                        "{asked}: {host} answered with more than {limit} MiB",
                        asked=asked,
                        host=self.host,
                        limit=MAX_BODY >> 20,
                    )
                )
            if self._clock.now() > deadline:
                raise StudioUnavailable(
                    say(
                        "{asked}: the answer of {host} did not end",
                        asked=asked,
                        host=self.host,
                    )
                )
        headers = {name.lower(): value for name, value in response.headers.items()}
        self.clock_ahead = seconds_ahead(headers.get("date", ""))
        region = region_of_base_url(self.base_url)
        status = response.status_code
        return Reply(asked, self.host, region, status, headers, bytes(body))

    def _session(self) -> requests.Session:
        if self._opened is None:
            import requests

            self._opened = requests.Session()
            # As `auth`, the key wins over an entry for the host in ~/.netrc.
            self._opened.auth = self._authorise
            if is_loopback(self.base_url):
                reach_this_machine(self._opened)
        return self._opened

    def _authorise(
        self, prepared: requests.PreparedRequest
    ) -> requests.PreparedRequest:
        prepared.headers["Authorization"] = f"Bearer {self._api_key}"
        return prepared

    def _blame_plan(self, error: PreflightError) -> None:
        """A key of a Coding Plan is refused like any wrong key; its prefix tells."""
        found = explain(Service.STUDIO, said="Coding Plan")
        if isinstance(error, AccessDenied) and self._api_key.startswith("sk-sp-"):
            error.hint = glued(found.cause, ": ", found.remedy) if found else error.hint

    def _mask(self, error: PreflightError) -> None:
        """Take the key out of an error: some servers quote it."""
        for name in ("message", "hint", "request_id"):
            text = getattr(error, name)
            setattr(error, name, masked(without(text, self._api_key)))
        error.args = (error.message,)


@contextmanager
def _translated(asked: str, host: str, url: str) -> Iterator[None]:
    """Raise what requests raises within as one of this tool's errors."""
    import requests
    import urllib3

    try:
        yield
    # requests lets an OSError through when its certificate file is not there.
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        if isinstance(error, requests.RequestException):
            # The request that it holds has the key among its headers.
            error.request = None
        raise _as_error(asked, why_unreached(error, host), url) from error


def _as_error(asked: str, why: Unreached, url: str) -> PreflightError:
    message = glued(asked, ": ", why.words)
    if why.is_setting:
        return ConfigurationError(message, hint=why.hint)
    hint = why.hint or proxy_hint(url, os.environ)
    hint = hint or say("check the network and DASHSCOPE_HTTP_BASE_URL")
    if why.passes:
        return StudioUnavailable(message, hint=hint, sent=why.sent)
    return ServiceUnavailable(message, hint=hint)
