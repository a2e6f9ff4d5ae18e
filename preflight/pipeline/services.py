"""The connections of a run: one to the bucket and one to the import API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from preflight.destination import Destination
from preflight.observer import Observer
from preflight.oss.access import CredentialsSource, OssAccess
from preflight.oss.inspector import BucketInspector
from preflight.pipeline.outage import Outage, teller
from preflight.retry import Retry, log_retry
from preflight.settings import Settings
from preflight.studio.client import ATTEMPTS, StudioClient
from preflight.studio.imports import ImportApi

PATIENCE = 600.0  # seconds without any success until an outage ends a run


@dataclass(frozen=True, slots=True)
class Services:
    """The bucket and the import API; `region` is where Model Studio runs, if known."""

    bucket: BucketInspector
    api: ImportApi
    region: str


def bucket_access(settings: Settings) -> OssAccess:
    """The keys, region and endpoint of OSS that the settings name."""
    return OssAccess(
        settings.access_key_id.value,
        settings.access_key_secret.value,
        security_token=settings.session_token.value,
        region=settings.region.value,
        endpoint=settings.endpoint.value,
    )


def studio_client(
    settings: Settings, observer: Observer | None = None, patience: float = PATIENCE
) -> StudioClient:
    """A client for Model Studio with the settings' key and address.

    With an `observer`, who is told of what is waited for, it is patient: an outage of
    minutes must not end a run of hours.
    """
    address, key = settings.base_url.value, settings.api_key.value
    if observer is None:
        return StudioClient(address, key)
    retry = Retry(attempts=ATTEMPTS, base=1.0, cap=20.0, on_retry=teller(observer))
    return StudioClient(address, key, retry=retry, patience=patience)


@contextmanager
def connected(
    settings: Settings,
    destination: Destination,
    *,
    observer: Observer | None = None,
    patience: float = PATIENCE,
    connections: int = 2,
    credentials: CredentialsSource | None = None,
) -> Iterator[Services]:
    """The services of a run, closed when the block is left.

    `observer` is told of what is waited for, for `patience` seconds. `connections`:
    how many to the bucket may be open at once. Raises `ConfigurationError` for settings
    that cannot be used.
    """
    access = bucket_access(settings)
    with (
        BucketInspector(
            access,
            destination.bucket,
            connections=connections,
            patience=patience,
            on_retry=Outage(observer, "OSS").tell if observer else log_retry,
            credentials=credentials,
        ) as bucket,
        studio_client(settings, observer, patience) as client,
    ):
        yield Services(bucket, ImportApi(client), settings.studio_region)
