"""What a person names as a model, opened: a directory, or a prefix of a bucket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from preflight.destination import parse_destination
from preflight.errors import UsageError
from preflight.language import say
from preflight.model.source import LocalDirectory, ModelSource
from preflight.observer import Observer
from preflight.oss.inspector import BucketInspector
from preflight.pipeline.outage import Outage
from preflight.pipeline.services import bucket_access
from preflight.settings import Need, Settings
from preflight.sources.bucket import WORKERS, BucketPrefix
from preflight.sources.hub import fetched_model, parse_hub

ModelPlace = str | Path
"""A path, or a text with `://` in it that names another place."""


def read_place(text: str) -> ModelPlace:
    """A word of the command line as a place."""
    return text if "://" in text else Path(text)


def is_remote(place: ModelPlace) -> bool:
    """Whether it is no path of this machine."""
    return isinstance(place, str) and "://" in place


def local_source(place: ModelPlace) -> LocalDirectory:
    """A directory of this machine; a model of a hub is fetched into its cache first.

    Raises `UsageError` for a bucket, and what fetching raises.
    """
    if not is_remote(place):
        return LocalDirectory(Path(place))
    if str(place).startswith("oss://"):
        raise UsageError(
            say("{place} lies in a bucket already", place=str(place)),
            hint=f"preflight import {place}",
        )
    model = parse_hub(str(place))
    return LocalDirectory(fetched_model(model), model.name)


@contextmanager
def opened_place(
    place: ModelPlace,
    read: Callable[[], Settings],
    observer: Observer,
    *,
    scan: bool = False,
) -> Iterator[ModelSource]:
    """The files of a model while the block runs; settings are read for a bucket alone.

    `scan`: whether its values will be read. Raises `UsageError` for what is no place,
    and `ConfigurationError` where settings are missing.
    """
    if not str(place).startswith("oss://"):
        yield local_source(place)
        return
    destination = parse_destination(str(place))
    # Not before: a directory is checked without any setting.
    settings = read()
    settings.require(Need.OSS)
    with (
        BucketInspector(
            bucket_access(settings),
            destination.bucket,
            connections=WORKERS,
            on_retry=Outage(observer, "OSS").tell,
            # Read anew when they end: temporary keys are replaced while a long check
            # runs.
            credentials=lambda: bucket_access(read()).keys,
        ) as bucket,
        BucketPrefix(bucket, destination, reads_values=scan) as source,
    ):
        yield source
