"""The connections of a push, made from the settings."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from preflight.lock import only_run
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.oss.inspector import BucketInspector
from preflight.pipeline.importing import studio_client
from preflight.pipeline.options import PushOptions
from preflight.settings import Settings
from preflight.studio.imports import ImportApi


@dataclass(frozen=True, slots=True)
class Services:
    """The connections of a push."""

    bucket: BucketClient
    inspector: BucketInspector
    api: ImportApi


def bucket_access(settings: Settings) -> OssAccess:
    """The keys, region and endpoint of OSS that the settings name."""
    return OssAccess(
        settings.access_key_id.value,
        settings.access_key_secret.value,
        security_token=settings.session_token.value,
        region=settings.region.value,
        endpoint=settings.endpoint.value,
    )


def connect(stack: ExitStack, options: PushOptions, settings: Settings) -> Services:
    """The services, closed with the stack; a second run on this machine is refused."""
    destination, access = options.destination, bucket_access(settings)
    if options.state is not None:
        where = f"{settings.endpoint.value} {destination.url}"
        stack.enter_context(only_run(options.state, where))
    bucket = BucketClient(
        access,
        destination.bucket,
        connections=options.transfer.worker_count + 2,
        credentials=options.credentials,
    )
    inspector = BucketInspector(
        access, destination.bucket, credentials=options.credentials
    )
    return Services(
        stack.enter_context(bucket),
        stack.enter_context(inspector),
        ImportApi(stack.enter_context(studio_client(settings))),
    )
