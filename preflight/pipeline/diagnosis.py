"""Why did the job fail? What lies in the bucket is looked at again, rule by rule.

The service answers `AvailableModelFileNotFound`, or that it could not get the files, to
nearly everything. Every rule that its documentation names and that can be seen from the
outside is held against the objects; what differs is the likely cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from preflight.catalog.service import (
    FULL_REQUIRED,
    LORA_RANKS,
    LORA_REQUIRED,
    is_importable_class,
)
from preflight.clock import ServiceClocks
from preflight.destination import Destination
from preflight.errors import PreflightError
from preflight.findings import Severity, WeightType
from preflight.language import glued, say
from preflight.model.configs import parse_json
from preflight.oss.inspector import BucketInspector, Stored
from preflight.oss.preconditions import check_bucket
from preflight.studio.jobs import ImportJob
from preflight.text import shortened
from preflight.upload.transfer import UploadedObject

_SMALL = 32 << 20  # bytes; configs and the index of a large model
_ADAPTER_CONFIG, _INDEX = "adapter_config.json", "model.safetensors.index.json"
_REMAINING = say(
    "the files lie there complete, readable and unchanged; what cannot be seen from "
    "here: the service-linked role (made once in the console by the main account), for "
    "full weights the account's permission, and the rules on vocabulary, chat template "
    "and vision tower, which `preflight check` judges"
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a job was made from; `files` are those that were sent, if known.

    Without a `weight_type` it is told by the names of the files.
    """

    destination: Destination
    weight_type: WeightType | None = None
    files: Sequence[UploadedObject] = ()


def diagnose(
    job: ImportJob,
    evidence: Evidence,
    inspector: BucketInspector,
    *,
    service_region: str = "",
    studio_ahead: float | None = None,
) -> list[str]:
    """Sentences on what is likely the cause; never empty, and raises nothing.

    `studio_ahead`: seconds that the clock of Model Studio is ahead of ours, if known.
    """
    try:
        likely = [
            issue.message
            for issue in check_bucket(inspector, service_region=service_region)
            if issue.severity is Severity.ERROR or "lies in" in issue.message
        ]
        stored = inspector.snapshot(evidence.destination.prefix)
        clocks = ServiceClocks(inspector.clock_ahead, studio_ahead)
        likely += _object_causes(job, evidence, inspector, stored, clocks)
    # That the job failed is the news: it must not be lost to a second failure.
    except PreflightError as error:
        return [
            say(
                "the files could not be looked at again: {message}",
                message=error.message,
            )
        ]
    where = evidence.destination.url
    if not likely:
        return [
            say(
                "looked again at {where}: {remaining}",
                where=where,
                remaining=_REMAINING,
            )
        ]
    return [say("likely cause: {each}", each=shortened(each, 400)) for each in likely]


def _object_causes(
    job: ImportJob,
    evidence: Evidence,
    inspector: BucketInspector,
    stored: Mapping[str, Stored],
    clocks: ServiceClocks,
) -> Iterator[str]:
    prefix = evidence.destination.prefix
    if not stored:
        yield say("nothing lies under {url}", url=evidence.destination.url)
        return
    here = {
        key.removeprefix(prefix): found
        for key, found in stored.items()
        if "/" not in key.removeprefix(prefix)
    }
    # Of an import by hand nobody said what it is; the names do.
    kind = evidence.weight_type or _kind(here)
    yield from _placing(len(stored) - len(here))
    yield from _missing(here, kind)
    yield from _unreadable(here)
    yield from _differing(evidence.files, stored, inspector, prefix)
    yield from _changed_since(job, here, clocks)
    if kind is WeightType.LORA:
        yield from _adapter_causes(inspector, prefix, here)
    else:
        yield from _index_causes(inspector, prefix, here)


def _kind(here: Mapping[str, Stored]) -> WeightType:
    adapter = any(name.startswith("adapter_") for name in here)
    return WeightType.LORA if adapter else WeightType.FULL


def _placing(nested: int) -> Iterator[str]:
    if nested:
        yield say(
            "{nested} objects lie in sub-directories; an import reads only what lies "
            "directly under the prefix",
            nested=nested,
        )


def _missing(here: Mapping[str, Stored], weight_type: WeightType) -> Iterator[str]:
    required = LORA_REQUIRED if weight_type is WeightType.LORA else FULL_REQUIRED
    lacking = [name for name in required if name not in here]
    if lacking:
        yield say(
            "{names} is not there; {kind} imports need it",
            names=", ".join(lacking),
            kind=weight_type.value,
        )
    weights = any(name.endswith(".safetensors") for name in here)
    if weight_type is WeightType.FULL and not weights:
        yield say(
            "there is no .safetensors file; weights in other formats are not read"
        )


def _unreadable(here: Mapping[str, Stored]) -> Iterator[str]:
    for name, found in here.items():
        if found.size == 0:
            yield say("{name} is empty", name=name)
        if not is_importable_class(found.storage_class):
            yield say(
                "{name} is of storage class {storage_class}",
                name=name,
                storage_class=found.storage_class,
            )


def _differing(
    files: Sequence[UploadedObject],
    stored: Mapping[str, Stored],
    inspector: BucketInspector,
    prefix: str,
) -> Iterator[str]:
    for sent in files:
        there, name = stored.get(sent.key), sent.key.removeprefix(prefix)
        if there is None:
            yield say("{name} was sent and is not there any more", name=name)
        elif there.size != sent.size:
            yield say(
                "{name} has {size:,} bytes, {sent:,} were sent",
                name=name,
                size=there.size,
                sent=sent.size,
            )
        # A listing tells no CRC-64: it is asked for where nothing else differs.
        elif (head := inspector.head(sent.key)) and head.crc64 != sent.crc64:
            yield say("{name} is not what was sent: its CRC-64 differs", name=name)


def _changed_since(
    job: ImportJob, here: Mapping[str, Stored], clocks: ServiceClocks
) -> Iterator[str]:
    for name, found in here.items():
        written = datetime.fromtimestamp(found.modified, timezone.utc)
        if job.created and clocks.is_written_after(written, job.created):
            yield say("{name} was written after the job began", name=name)


def _read(inspector: BucketInspector, key: str) -> Mapping[str, Any] | str:
    """A JSON object from the bucket, or what is wrong with it."""
    # Anything can lie under that name, of any size.
    raw = inspector.read_small(key, _SMALL)
    try:
        value = parse_json((raw or b"").decode("utf-8"))
    except ValueError as error:  # NotJson and UnicodeDecodeError
        return say("is not JSON: {error}", error=error)
    return value if isinstance(value, dict) else say("is not a JSON object")


def _adapter_causes(
    inspector: BucketInspector, prefix: str, here: Mapping[str, Stored]
) -> Iterator[str]:
    if _ADAPTER_CONFIG not in here:
        return
    config = _read(inspector, prefix + _ADAPTER_CONFIG)
    if isinstance(config, str):
        yield glued(_ADAPTER_CONFIG, " ", config)
        return
    allowed = ", ".join(str(rank) for rank in LORA_RANKS)
    if config.get("r") not in LORA_RANKS:
        yield say(
            "{adapter_config}: r is {r!r}; accepted are {allowed}",
            adapter_config=_ADAPTER_CONFIG,
            r=config.get("r"),
            allowed=allowed,
        )
    pattern = config.get("rank_pattern")
    # Any value of JSON can stand there, lists and objects that no set takes, too.
    ranks = list(pattern.values()) if isinstance(pattern, dict) else []
    if any(rank != config.get("r") for rank in ranks):
        yield say(
            "{adapter_config}: rank_pattern; every layer must have the same rank",
            adapter_config=_ADAPTER_CONFIG,
        )
    if config.get("modules_to_save"):
        yield say(
            "{adapter_config}: modules_to_save is {modules_to_save!r}; the vocabulary "
            "must be unchanged",
            adapter_config=_ADAPTER_CONFIG,
            modules_to_save=config["modules_to_save"],
        )


def _index_causes(
    inspector: BucketInspector, prefix: str, here: Mapping[str, Stored]
) -> Iterator[str]:
    if _INDEX not in here:
        return
    index = _read(inspector, prefix + _INDEX)
    if isinstance(index, str):
        yield glued(_INDEX, " ", index)
        return
    weights = index.get("weight_map")
    named = weights.values() if isinstance(weights, dict) else ()
    lacking = sorted({str(name) for name in named if str(name) not in here})
    if lacking:
        yield say(
            "{index} names {count} files that are not there: {lacking}",
            index=_INDEX,
            count=len(lacking),
            lacking=lacking[0],
        )
