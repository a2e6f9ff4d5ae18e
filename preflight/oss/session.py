"""oss2 set up for one bucket: V4 signatures, no CRC, no logs, no redirects."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from preflight.oss.access import OssAccess
from preflight.oss.keyring import KeyRing, signer
from preflight.oss.source import BLOCK

if TYPE_CHECKING:
    from oss2 import Bucket, Session

T = TypeVar("T")


def silence_oss2() -> None:
    """oss2 logs tracebacks at ERROR, and headers with the signature at DEBUG."""
    logger = logging.getLogger("oss2")
    logger.setLevel(logging.CRITICAL + 1)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _unsigned(request: T) -> T:
    """Leave the request alone: without this, requests would sign it from ~/.netrc."""
    return request


def open_session(connections: int, *, is_local: bool) -> Session:
    """A session that keeps up to `connections` connections open."""
    import oss2
    from requests.adapters import HTTPAdapter

    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=connections)
    # Not an option of the adapter's constructor; urllib3's default is 16 KiB.
    adapter.init_poolmanager(2, connections, blocksize=BLOCK)
    session = oss2.Session(adapter=adapter)
    session.session.auth = _unsigned
    session.session.max_redirects = 0  # OSS never redirects us; login pages do
    if is_local:
        session.session.trust_env = False  # no proxy for the sandbox
    return session


def open_bucket(
    access: OssAccess,
    name: str,
    session: Session,
    timeout: tuple[float, float],
    ring: KeyRing,
) -> Bucket:
    """The bucket over `session`; `timeout` is (connect, read) in seconds."""
    import oss2

    return oss2.Bucket(
        signer(ring),
        access.endpoint,
        name,
        session=session,
        connect_timeout=timeout,
        enable_crc=False,  # slow and holds the interpreter lock; `Body` sums instead
        region=access.region,
        is_path_style=access.is_local,
    )
