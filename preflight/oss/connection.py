"""How OSS is asked: typed errors, retries, fresh keys and the right time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from preflight.catalog.endpoints import PRIVATE
from preflight.catalog.permissions import Permission
from preflight.clock import SystemClock, seconds_ahead
from preflight.errors import TransferError
from preflight.language import say
from preflight.oss.access import CredentialsSource, OssAccess
from preflight.oss.body import Body
from preflight.oss.errors import (
    NOTHING,
    Allow,
    Damaged,
    KeysExpired,
    OssUnavailable,
    Skewed,
    not_oss,
    translated,
)
from preflight.oss.session import open_bucket, open_session, silence_oss2
from preflight.oss.signing import SigningKeys
from preflight.retry import Patience, Retry, RetryEvent, log_retry
from preflight.waiting import Watch

if TYPE_CHECKING:
    from oss2.models import PutObjectResult, RequestResult

T = TypeVar("T")
C = TypeVar("C", bound="Connection")

LONGEST_PAUSE = 15.0  # seconds between two attempts of the patient
_SAME_TIME = 60.0  # seconds; a clock that is off by less is not the cause


# OSS sends it with every answer to an upload (OSS docs, "PutObject", "UploadPart").
STRIPPED = say("a proxy on the way may strip headers of OSS (x-oss-…): see HTTPS_PROXY")


def _check_answer(action: str, result: RequestResult) -> float | None:
    """Give the connection back; raise unless OSS itself answered.

    Returns how many seconds its clock is ahead of ours.
    """
    # Unread bytes would keep the connection from being used again.
    result.resp.read()
    if not result.request_id:
        raise not_oss(action, result.status)
    return seconds_ahead(str(result.headers.get("Date", "")))


def _check_crc(action: str, sent: int, result: PutObjectResult) -> None:
    stored = result.crc
    if stored is None:
        raise TransferError(
            say("{action}: the answer of OSS has no CRC-64", action=action),
            hint=STRIPPED,
            request_id=result.request_id,
        )
    if stored != sent:
        raise Damaged(
            say(
                "{action}: the bytes were damaged on their way (CRC-64 {sent:016x} "
                "sent, {stored:016x} stored)",
                action=action,
                sent=sent,
                stored=stored,
            ),
            request_id=result.request_id,
        )


class Connection:
    """One bucket through oss2; its subclasses are the calls. Close it, or use `with`.

    `timeout` is (connect, read) in seconds. `credentials` is asked for other keys once
    OSS calls those of `access` ended. Once OSS was reached, a call is tried again as
    often as `retry` says and until for `patience` seconds none of all that are under
    way has succeeded; `on_retry` hears of it, from any thread. While `hurry` is set,
    the pauses between attempts are left out.
    """

    def __init__(
        self,
        access: OssAccess,
        bucket: str,
        *,
        connections: int = 10,
        timeout: tuple[float, float] = (10.0, 60.0),
        retry: Retry | None = None,
        patience: float = 0.0,
        on_retry: Callable[[RetryEvent], None] = log_retry,
        credentials: CredentialsSource | None = None,
        watch: Watch | None = None,
    ) -> None:
        silence_oss2()
        self.access = access
        self.bucket = bucket
        self._last_ahead: float | None = None
        self._latency: float | None = None
        self.hurry = threading.Event()
        self._retry = retry or Retry(clock=SystemClock(self.hurry), on_retry=on_retry)
        # While `hurry` is set, the run is ending, and nobody waits for a success.
        self._patience = Patience(patience, self._retry.clock, over=self.hurry.is_set)
        self._was_reached = False
        self._watch = watch or Watch("OSS")
        self._ring = SigningKeys(access.keys, credentials)
        self._session = open_session(
            connections, is_local=access.is_local, patience=timeout[1]
        )
        with translated(say("open {bucket}", bucket=bucket), access):
            self._oss = open_bucket(access, bucket, self._session, timeout, self._ring)

    def __enter__(self: C) -> C:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._watch.close()
        self._session.session.close()

    @property
    def clock_ahead(self) -> float | None:
        """Seconds that the clock of OSS is ahead of ours, by its last answer."""
        return self._ring.ahead or self._last_ahead

    @property
    def latency(self) -> float | None:
        """Seconds that the quickest answer took so far to a request without a body."""
        return self._latency

    def _once(
        self,
        action: str,
        call: Callable[[], T],
        allow: Allow = NOTHING,
        sign: Callable[[], object] | None = None,
    ) -> T:
        """One attempt; `sign` changes while bytes of a body go out."""
        began = time.monotonic()
        with (
            self._watch.waiting(action, sign),
            translated(action, self.access, allow),
        ):
            result = call()
            self._last_ahead = _check_answer(action, result)
        if sign is None:
            took = time.monotonic() - began
            self._latency = took if self._latency is None else min(took, self._latency)
        return result

    def _mended(self, call: Callable[[], T]) -> T:
        """Call, and again with fresh keys or the right time if that was the cause."""
        for _ in range(2):  # both may be wrong
            keys, ahead = self._ring.keys, self._ring.ahead
            try:
                return call()
            except KeysExpired:
                if not self._ring.refresh(keys):
                    raise
                self.access = self.access.with_keys(self._ring.keys)
            except Skewed as exc:
                if abs(exc.ahead - ahead) < _SAME_TIME:
                    raise
                self._ring.ahead = exc.ahead
        return call()

    @property
    def patience(self) -> Patience:
        """How long an outage is waited for; what moves elsewhere may move it, too."""
        return self._patience

    @property
    def again(self) -> Retry:
        """How a call is tried again once OSS was reached."""
        cap = min(self._retry.cap, LONGEST_PAUSE)
        return replace(self._retry, cap=cap, patience=self._patience, on=OssUnavailable)

    def _retried(self, call: Callable[[], T]) -> T:
        retry = self.again
        if not self._was_reached:
            # An address that is wrong does not get right; and to a private one there
            # is no way from outside of its region.
            attempts = 2 if self.access.kind in PRIVATE else retry.attempts
            retry = replace(retry, attempts=attempts, patience=None)
        with self._patience.working():
            result = retry.call(lambda: self._mended(call))
        self._was_reached = True
        self._patience.moved()
        return result

    def _ask(self, action: str, call: Callable[[], T], allow: Allow = NOTHING) -> T:
        return self._retried(lambda: self._once(action, call, allow))

    def _allow(self, permission: Permission, key: str = "") -> Allow:
        """What the key must be allowed for a call, told when it is not."""
        return Allow(permission, permission.resource(self.bucket, key))

    def _send(
        self,
        action: str,
        make: Callable[[], Body],
        call: Callable[[Body | bytes], PutObjectResult],
        allow: Allow = NOTHING,
        *,
        once: bool = False,
    ) -> tuple[PutObjectResult, Body]:
        """Send a body made anew for each attempt; the answer and the body sent.

        With `once` the caller tries again.
        """

        def attempt() -> tuple[PutObjectResult, Body]:
            body = make()
            # An empty file-like body would be sent chunked, without a length.
            result = self._once(
                action, lambda: call(body if body.len else b""), allow, lambda: body.crc
            )
            _check_crc(action, body.crc, result)
            return result, body

        def sound() -> tuple[PutObjectResult, Body]:
            # Who damages bytes is no outage: not waited for, only tried again.
            return replace(self._retry, on=Damaged).call(attempt)

        if not once:
            return self._retried(sound)
        with self._patience.working():
            sent = self._mended(sound)
        self._patience.moved()
        return sent
