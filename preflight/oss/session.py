"""oss2 set up for one bucket: V4 signatures, no CRC, no logs, no redirects."""

from __future__ import annotations

import logging
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from preflight.catalog.endpoints import EndpointKind
from preflight.http import reach_this_machine
from preflight.oss.access import OssAccess
from preflight.oss.body import BLOCK
from preflight.oss.deferred import defer_encryption
from preflight.oss.signing import SigningKeys, signer

if TYPE_CHECKING:
    from oss2 import Bucket, Session
    from requests import Response
    from requests.adapters import HTTPAdapter
    from urllib3.connectionpool import HTTPConnectionPool

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


def _pools(patience: float) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools by scheme, with `patience` seconds to send each block.

    urllib3 keeps the time-out for connecting until the request is sent, on a socket
    that is open already, too; a slow link needs much longer for that.
    """
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Patient(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(patience)

        def putrequest(self, *words: Any, **flags: Any) -> None:  # noqa: ANN401
            if self.sock is not None:
                self.sock.settimeout(patience)
            super().putrequest(*words, **flags)

    class Encrypted(Patient, HTTPSConnection):
        """The same over TLS."""

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Patient

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted

    return {"http": PlainPool, "https": EncryptedPool}


def _adapter(connections: int, patience: float) -> HTTPAdapter:
    from requests.adapters import HTTPAdapter
    from urllib3.poolmanager import PoolManager

    pools = _pools(patience)

    def tuned(manager: PoolManager) -> PoolManager:
        manager.pool_classes_by_scheme = pools
        # No option of the adapter's constructor; urllib3's default is 16 KiB.
        manager.connection_pool_kw["blocksize"] = BLOCK
        return manager

    class Adapter(HTTPAdapter):
        def init_poolmanager(
            self, connections: int, maxsize: int, block: bool = False, **more: object
        ) -> None:
            super().init_poolmanager(connections, maxsize, block, **more)
            tuned(self.poolmanager)

        def proxy_manager_for(self, proxy: str, **more: object) -> PoolManager:
            return tuned(super().proxy_manager_for(proxy, **more))

    return Adapter(pool_connections=2, pool_maxsize=connections)


def _read_error(response: Response, **_: object) -> None:
    """Read what an error says, at most 64 KiB, and give its connection back.

    oss2 reads 4 KiB. A gateway's page is longer, and each one would leave a connection
    open that nobody uses any more, for as long as an outage lasts.
    """
    if response.status_code < 400:
        return
    # Its name is private; `iter_content`, by which oss2 reads, goes by it.
    response._content = b"".join(islice(response.iter_content(4096), 16))  # noqa: SLF001
    response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001
    response.raw.close()


def open_session(
    connections: int, *, is_local: bool, patience: float = 60.0
) -> Session:
    """A session that keeps up to `connections` connections open.

    `patience`: seconds in which each block of a body must have left.
    """
    defer_encryption()
    import oss2

    # oss2's own session keeps 10 connections, for all threads of the process.
    session = oss2.Session(adapter=_adapter(connections, patience))
    session.session.auth = _unsigned
    session.session.hooks["response"].append(_read_error)
    session.session.max_redirects = 0  # OSS never redirects us; login pages do
    if is_local:
        reach_this_machine(session.session)
    return session


def open_bucket(
    access: OssAccess,
    name: str,
    session: Session,
    timeout: tuple[float, float],
    ring: SigningKeys,
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
        # The bucket's name is not put before a domain that is bound to it.
        is_cname=access.kind is EndpointKind.CUSTOM_DOMAIN,
    )
