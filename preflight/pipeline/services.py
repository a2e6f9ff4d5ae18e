"""The connections of a run: one to the bucket and one to the import API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from preflight.destination import Destination
from preflight.oss.access import CredentialsSource, OssAccess
from preflight.oss.inspector import BucketInspector
from preflight.settings import Settings
from preflight.studio.client import StudioClient
from preflight.studio.imports import ImportApi


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


def studio_client(settings: Settings) -> StudioClient:
    """A client for Model Studio with the settings' key and address."""
    return StudioClient(settings.base_url.value, settings.api_key.value)


@contextmanager
def connected(
    settings: Settings,
    destination: Destination,
    *,
    connections: int = 2,
    credentials: CredentialsSource | None = None,
) -> Iterator[Services]:
    """The services of a run, closed when the block is left.

    `connections`: how many to the bucket may be open at once. Raises
    `ConfigurationError` for settings that cannot be used.
    """
    access = bucket_access(settings)
    with (
        BucketInspector(
            access,
            destination.bucket,
            connections=connections,
            credentials=credentials,
        ) as bucket,
        studio_client(settings) as client,
    ):
        yield Services(bucket, ImportApi(client), settings.studio_region)
