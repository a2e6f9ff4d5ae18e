"""The upload of a push: the values are scanned in the very bytes that are sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from preflight.destination import Destination, expand, parse_destination, placeholders
from preflight.errors import RulesFailed
from preflight.findings import Unavailable, Verdict, WeightType
from preflight.model.headers import Broken, Container
from preflight.model.inspection import Inspection
from preflight.model.scan import TensorValues, ValueScanner, scan_file
from preflight.model.tower import TowerComparison, compare_tower
from preflight.oss.client import BucketClient
from preflight.oss.crc import crc64
from preflight.oss.options import TransferOptions
from preflight.oss.plan import UploadItem, UploadPlan
from preflight.oss.source import Stamp, open_source
from preflight.oss.transfer import Manifest, transfer
from preflight.record import RunRecord
from preflight.rules import SCAN_RULES
from preflight.rules.policy import Policy
from preflight.screen import Screen

_DIGITS = 12  # of the digest; 48 bits tell the versions of one model apart

Values = tuple[TensorValues, ...] | Unavailable


@dataclass(frozen=True, slots=True)
class Scanned:
    """What the value scan found, and the CRC-64 of each file that it read."""

    values: Values
    sums: Mapping[str, int]


def sound_containers(found: Inspection) -> tuple[Container, ...] | Unavailable:
    """The weight files to scan, or why they cannot be."""
    if isinstance(found.containers, Unavailable):
        return found.containers
    for container in found.containers:
        if isinstance(container, Broken):
            return Unavailable(f"{container.file} is broken")
    return tuple(c for c in found.containers if not isinstance(c, Broken))


def scan(found: Inspection, screen: Screen) -> Scanned:
    """Read all weight files once for their values and their CRC-64."""
    sound = sound_containers(found)
    if isinstance(sound, Unavailable):
        return Scanned(sound, {})
    values: list[TensorValues] = []
    sums: dict[str, int] = {}
    with screen.progress() as progress:
        progress.start(sum(c.size for c in sound), "scanning")
        for container in sound:
            name = container.file
            sums[name] = 0

            def add(block: memoryview, name: str = name) -> None:
                sums[name] = crc64(block, sums[name])

            path = found.directory / name
            values += scan_file(path, container, on_bytes=progress.advance, also=add)
    return Scanned(tuple(values), sums)


def compared_tower(found: Inspection) -> TowerComparison | Unavailable:
    """The vision tower of full weights against the base's own copy."""
    if found.weight_type is not WeightType.FULL:
        return Unavailable("an adapter has no vision tower")
    return compare_tower(found.directory, found.containers, found.reference)


def judge(
    found: Inspection,
    record: RunRecord,
    values: Values,
    tower: TowerComparison | Unavailable,
    *,
    policy: Policy,
) -> Inspection:
    """The inspection with its values; what the scan rules say goes into the report."""
    found = replace(found, values=values, tower=tower)
    outcomes = policy.run(SCAN_RULES, found, found.weight_type)
    record.report = record.report.joined(outcomes)
    return found


def refuse_failed(record: RunRecord) -> None:
    """Raise `RulesFailed` when a rule of level error failed."""
    if record.report.verdict is Verdict.FAIL:
        raise RulesFailed(
            "the model would not import as it is",
            hint="mend what is named above and run the same command again",
        )


class Tap:
    """Hands the bytes on their way to the scanner of their file."""

    def __init__(self, found: Inspection, plan: UploadPlan) -> None:
        self._found = found
        sound = sound_containers(found)
        self._sound = sound
        sent = {item.name for item in plan.items}
        self._scanners: dict[str, ValueScanner] = {}
        if not isinstance(sound, Unavailable):
            chosen = (c for c in sound if c.file in sent)
            self._scanners = {c.file: ValueScanner(c) for c in chosen}

    def take(self, name: str, offset: int, block: memoryview) -> None:
        """A block of any file; those of weights are scanned."""
        if scanner := self._scanners.get(name):
            scanner.feed(offset, block)

    def values(self) -> Values:
        """What was found; a file that was not sent is read now."""
        if isinstance(self._sound, Unavailable):
            return self._sound
        found: list[TensorValues] = []
        for container in self._sound:
            scanner = self._scanners.get(container.file)
            if scanner is not None:
                found += scanner.result()
            else:
                path = self._found.directory / container.file
                found += scan_file(path, container)
        return tuple(found)


def send(
    plan: UploadPlan,
    bucket: BucketClient,
    screen: Screen,
    *,
    options: TransferOptions,
    tap: Tap | None = None,
    judged: Callable[[Values], None] = lambda _: None,
) -> Manifest:
    """Transfer the plan; with a `tap`, `judged` may forbid it by what it raises."""
    screen.say(f"uploading {len(plan.items)} files to {plan.destination.url}")
    with screen.progress() as progress:
        progress.start(plan.total_bytes, "uploading")
        return transfer(
            plan,
            bucket,
            on_bytes=progress.advance,
            on_block=tap.take if tap else None,
            before_publish=lambda: judged(tap.values()) if tap else None,
            options=options,
        )


def _local_crc(item: UploadItem) -> int:
    if isinstance(item.source, bytes):
        return crc64(item.source)
    stamp = Stamp(item.size, item.mtime_ns, item.inode)
    with open_source(item.source, stamp) as source:
        return source.crc()


def digest(plan: UploadPlan, sums: Mapping[str, int]) -> str:
    """A short SHA-256 over names, sizes and CRC-64s; `sums` are those known."""
    text = hashlib.sha256()
    for item in sorted(plan.items, key=lambda item: item.name):
        crc = sums[item.name] if item.name in sums else _local_crc(item)
        text.update(f"{item.name}\0{item.size}\0{crc:016x}\n".encode())
    return text.hexdigest()[:_DIGITS]


def tidy_name(directory: Path) -> str:
    """A model directory's name as a part of a key."""
    return re.sub(r"[^\w.-]+", "-", directory.resolve().name).strip(".-") or "model"


def settled(
    template: Destination, plan: UploadPlan, found: Inspection, sums: Mapping[str, int]
) -> Destination:
    """The destination with its placeholders filled in."""
    used = placeholders(template.url)
    if not used:
        return template
    values = {
        "name": tidy_name(found.directory),
        "date": datetime.now(timezone.utc).strftime("%Y%m%d"),
    }
    if not isinstance(found.base, Unavailable):
        values["base"] = found.base.code
    if "digest" in used:
        values["digest"] = digest(plan, sums)
    return parse_destination(expand(template.url, values))
