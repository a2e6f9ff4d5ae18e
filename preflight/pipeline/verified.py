"""Is a prefix still what it was, and are the models that were imported from it valid?

The objects are held against what should lie there: names and sizes of one listing, the
CRC-64 of a HEAD for each. The jobs tell which models came from the prefix, and the
times of the objects what was written since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from preflight.clock import ServiceClocks
from preflight.destination import Destination
from preflight.errors import NotReady
from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.base_config import base_config
from preflight.model.inspection import Inspection, inspect
from preflight.oss.inspector import BucketInspector, Stored
from preflight.pipeline.manifest import ExpectedFile, ModelManifest
from preflight.studio.imports import ImportApi
from preflight.studio.jobs import ImportJob
from preflight.upload.local_file import local_crc
from preflight.upload.plan import select_files

HEADS = 16  # that are asked for at the same time
_INVALID = ("INVALID", "EXPIRED")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it was: a file, or a job, and what about it."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model that was imported from there, and why it may not be valid any more."""

    job: ImportJob
    changed: tuple[str, ...] = ()
    is_new: bool = False

    @property
    def valid(self) -> bool:
        """Whether nothing speaks against it."""
        return self.job.succeeded and not self.changed


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found; `known` says in words what the objects were held against."""

    place: str
    known: str
    objects: int
    differences: tuple[Difference, ...]
    models: tuple[ModelState, ...] = ()

    @property
    def same(self) -> bool:
        """Whether all is as it was."""
        return not self.differences and all(
            model.valid or not model.job.finished for model in self.models
        )


def expected_of(directory: Path) -> tuple[ExpectedFile, ...]:
    """What a push of this directory would leave in the bucket; its bytes are read.

    Raises `NotReady` where the kind of weights is not known.
    """
    found = inspect(directory)
    if isinstance(found.weight_type, Unavailable):
        raise NotReady(found.weight_type.reason)
    # With what a push adds, or its absence here would pass for a difference.
    chosen = select_files(found.walk, found.weight_type, generated=_generated(found))
    return tuple(
        ExpectedFile(item.name, item.size, local_crc(item)) for item in chosen.items
    )


def _generated(found: Inspection) -> Mapping[str, bytes]:
    made = base_config(found)
    return {} if isinstance(made, Unavailable) else {made.name: made.content}


def present(bucket: BucketInspector, destination: Destination) -> ModelManifest:
    """What lies there now as a manifest of its own, to be held against later."""
    stored = bucket.snapshot(destination.prefix)
    sums = _sums(bucket, stored)
    files = tuple(
        ExpectedFile(key.removeprefix(destination.prefix), each.size, sums[key] or 0)
        for key, each in stored.items()
    )
    name = destination.prefix.strip("/").rpartition("/")[2]
    return ModelManifest(name, destination.url, files, {})


def _sums(bucket: BucketInspector, keys: Iterable[str]) -> dict[str, int | None]:
    wanted = list(keys)

    def crc(key: str) -> int | None:
        head = bucket.head(key)
        return head.crc64 if head else None

    with ThreadPoolExecutor(HEADS, thread_name_prefix="head") as pool:
        return dict(zip(wanted, pool.map(crc, wanted), strict=True))


def verify_prefix(
    destination: Destination,
    expected: Iterable[ExpectedFile] | None,
    known: str,
    bucket: BucketInspector,
) -> tuple[Verified, Mapping[str, Stored]]:
    """Hold the objects against what should lie there; without it nothing differs."""
    stored = bucket.snapshot(destination.prefix)
    found: tuple[Difference, ...] = ()
    if expected is not None:
        found = tuple(_differences(destination, list(expected), stored, bucket))
    elif not stored:
        found = (Difference(".", say("nothing lies there")),)
    return Verified(destination.url, known, len(stored), found), stored


def _differences(
    destination: Destination,
    expected: list[ExpectedFile],
    stored: Mapping[str, Stored],
    bucket: BucketInspector,
) -> Iterator[Difference]:
    alike = []
    for file in expected:
        there = stored.get(destination.key(file.name))
        if there is None:
            yield Difference(file.name, say("is missing"))
        elif there.size != file.size:
            told = say("has {is_:,} bytes, had {was:,}", is_=there.size, was=file.size)
            yield Difference(file.name, told)
        else:
            alike.append(file)
    # One question a file, of those alone that the listing does not tell apart.
    sums = _sums(bucket, [destination.key(file.name) for file in alike])
    for file in alike:
        if sums[destination.key(file.name)] != file.crc64:
            yield Difference(file.name, say("has other bytes (CRC-64)"))
    names = {destination.key(file.name) for file in expected}
    for key in sorted(set(stored) - names):
        yield Difference(
            key.removeprefix(destination.prefix), say("does not belong there")
        )


def verify_directory(directory: Path, manifest: ModelManifest) -> Verified:
    """Hold the files of a directory against a manifest."""
    found = {file.name: file for file in expected_of(directory)}
    wanted = {file.name: file for file in manifest.files}
    differences = []
    for name in sorted({*found, *wanted}):
        here, there = found.get(name), wanted.get(name)
        if here is None:
            differences.append(Difference(name, say("is missing")))
        elif there is None:
            differences.append(Difference(name, say("does not belong there")))
        elif (here.size, here.crc64) != (there.size, there.crc64):
            differences.append(Difference(name, say("has other bytes (CRC-64)")))
    known = say("the manifest of {url}", url=manifest.destination)
    return Verified(str(directory), known, len(found), tuple(differences))


def model_states(
    destination: Destination,
    stored: Mapping[str, Stored],
    known_jobs: frozenset[str],
    clocks: ServiceClocks,
    api: ImportApi,
) -> tuple[ModelState, ...]:
    """The models that were imported from there, with what changed since.

    `known_jobs`: those on record; another one is new, unless none is on record.
    """
    found = []
    for job in api.list_all():
        if job.bucket != destination.bucket or not _touches(job, destination):
            continue
        if job.failed and job.status.upper() not in _INVALID:
            continue  # it never made a model
        prefix = job.prefix.strip("/") + "/"
        # Both times are by the services' clocks, which may differ: `clocks` knows by
        # how much.
        changed = tuple(
            key.removeprefix(prefix)
            for key, each in stored.items()
            if key.startswith(prefix) and job.created and job.succeeded
            if clocks.is_written_after(
                datetime.fromtimestamp(each.modified, timezone.utc), job.created
            )
        )
        # Without a record every job would be new, which would tell nothing.
        is_new = bool(known_jobs) and job.job_id not in known_jobs
        found.append(ModelState(job, changed, is_new))
    return tuple(found)


def _touches(job: ImportJob, destination: Destination) -> bool:
    """Whether job and destination share a prefix, one maybe above the other."""
    prefix = job.prefix.strip("/") + "/"
    return destination.prefix.startswith(prefix) or prefix.startswith(
        destination.prefix
    )
