"""The keys that requests are signed with: cached, locked, refreshed when they end."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from preflight.oss.access import CredentialsSource, OssKeys

if TYPE_CHECKING:
    from oss2 import ProviderAuthV4
    from oss2.credentials import Credentials
    from oss2.http import Request


class SigningKeys:
    """The keys in use and how far OSS's clock is before ours; safe for threads.

    oss2 asks for the keys on each request, from every thread: they are read anew from
    `source` only after OSS called them ended.
    """

    def __init__(self, keys: OssKeys, source: CredentialsSource | None = None) -> None:
        self._keys, self._source = keys, source
        self._lock = threading.Lock()
        self.ahead = 0.0  # seconds

    @property
    def keys(self) -> OssKeys:
        """The keys in use."""
        with self._lock:
            return self._keys

    def refresh(self, ended: OssKeys) -> bool:
        """Whether there are other keys than those that `ended`.

        One thread reads the keys again; those that failed with the same old keys get
        the new ones. Raises what the source raises.
        """
        with self._lock:
            if self._keys == ended and self._source is not None:
                self._keys = self._source()
            return self._keys != ended

    def get_credentials(self) -> Credentials:
        """The keys in the form that oss2 asks for."""
        from oss2.credentials import Credentials

        keys = self.keys
        return Credentials(
            keys.access_key_id, keys.access_key_secret, keys.security_token
        )


def signer(ring: SigningKeys) -> ProviderAuthV4:
    """oss2's V4 signature, by a clock that can be set right."""
    import oss2

    class SignerV4(oss2.ProviderAuthV4):  # type: ignore[misc]
        """oss2 reads the machine's clock; this one adds the offset once it is known."""

        def _sign_request(
            self,
            req: Request,
            bucket_name: str,
            key: str,
            extra: list[str] | None = None,
        ) -> None:
            super()._sign_request(req, bucket_name, key, extra)
            if not ring.ahead:
                return
            moment = datetime.now(timezone.utc) + timedelta(seconds=ring.ahead)
            stamp = moment.strftime("%Y%m%dT%H%M%SZ")
            keys = ring.get_credentials()
            req.headers["x-oss-date"] = stamp
            if keys.get_security_token():  # the keys may be others by now
                req.headers["x-oss-security-token"] = keys.get_security_token()
            # Their names are private to oss2's class; their meaning is the protocol's.
            scope = self._ProviderAuthV4__get_scope(stamp[:8], req)
            signature = self._ProviderAuthV4__make_signature(
                req, bucket_name, key, None, keys, stamp
            )
            req.headers["authorization"] = (
                f"OSS4-HMAC-SHA256 Credential={keys.get_access_key_id()}/{scope}, "
                f"Signature={signature}"
            )

    return SignerV4(ring)
