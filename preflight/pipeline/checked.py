"""Judge a directory: the cheap rules first, then those that need the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from preflight.crc import crc64
from preflight.errors import RulesFailed
from preflight.findings import (
    Report,
    Result,
    Severity,
    Unavailable,
    Verdict,
    WeightType,
)
from preflight.model.headers import Broken, Container, Unread
from preflight.model.inspection import Inspection, inspect
from preflight.model.scan import TensorValues, scan_file
from preflight.model.steady import SteadyFile, open_steady
from preflight.model.vision_tower import VisionTowerComparison, compare_vision_tower
from preflight.observer import Observer
from preflight.pipeline.options import CheckOptions
from preflight.rules import SCAN_RULES, STATIC_RULES

Values = tuple[TensorValues, ...] | Unavailable


@dataclass(frozen=True, slots=True)
class Checked:
    """A directory that was looked at, and what the rules said of it so far.

    `due`: the values are not judged yet. `sums` holds the CRC-64 of each file that
    was read for that.
    """

    options: CheckOptions
    found: Inspection
    report: Report
    due: bool = True
    sums: Mapping[str, int] = field(default_factory=dict)


def check(options: CheckOptions, observer: Observer) -> Checked:
    """Inspect and judge a directory, values included unless that is not wanted.

    Raises `UsageError` when there is no such directory.
    """
    checked = inspected(options, observer)
    if options.scan:
        return scanned(checked, observer)
    return unscanned(checked, "not scanned, as --no-scan asks", observer)


def inspected(options: CheckOptions, observer: Observer) -> Checked:
    """Look at names, JSON files and headers, and judge all but the values.

    Raises `UsageError` when there is no such directory.
    """
    with observer.stage("inspect"):
        found = inspect(options.directory, options.request)
    with observer.stage("rules"):
        kind = found.weight_type
        report = Report(options.policy.run(STATIC_RULES, found, kind))
    return _told(Checked(options, found, report), observer)


def scanned(checked: Checked, observer: Observer) -> Checked:
    """Read all weights once: judge their values, and keep the CRC-64 of each file."""
    with observer.stage("scan"):
        values, sums = _scan(checked.found, observer)
        return judged(replace(checked, sums=sums), values, observer)


def unscanned(checked: Checked, reason: str, observer: Observer) -> Checked:
    """The rules that need values are skipped, with the reason."""
    missing = Unavailable(reason)
    return _judged(checked, missing, missing, observer)


def judged(checked: Checked, values: Values, observer: Observer) -> Checked:
    """Run the rules that need the values, which somebody has read."""
    return _judged(checked, values, _vision_tower(checked.found), observer)


def _judged(
    checked: Checked,
    values: Values,
    tower: VisionTowerComparison | Unavailable,
    observer: Observer,
) -> Checked:
    found = replace(checked.found, values=values, tower=tower)
    outcomes = checked.options.policy.run(SCAN_RULES, found, found.weight_type)
    report = checked.report.joined(outcomes)
    return _told(replace(checked, found=found, report=report, due=False), observer)


def _told(checked: Checked, observer: Observer) -> Checked:
    observer.reached(checked)
    return checked


def require_passed(checked: Checked) -> None:
    """Raise `RulesFailed` when a rule of level error failed."""
    if checked.report.verdict is Verdict.FAIL:
        error = RulesFailed(
            "the model would not import as it is",
            hint="mend what is named above and run the same command again",
        )
        failed = checked.report.select(Result.FAILED)
        error.outcomes = tuple(o for o in failed if o.severity is Severity.ERROR)
        raise error


def sound_containers(found: Inspection) -> tuple[Container, ...] | Unavailable:
    """The weight files to scan, or why they cannot be."""
    if isinstance(found.containers, Unavailable):
        return found.containers
    for container in found.containers:
        if isinstance(container, Broken):
            return Unavailable(f"{container.file} is broken")
        if isinstance(container, Unread):
            return Unavailable(f"{container.file} was not read: {container.reason}")
    return tuple(c for c in found.containers if isinstance(c, Container))


def weights_of(found: Inspection, container: Container) -> SteadyFile:
    """A weight file as it was when it was inspected; the caller closes it.

    Raises `Changed` and `Unreadable`.
    """
    entry = found.files[container.file]
    return open_steady(entry.real_path, entry.name, entry.stamp)


def _scan(found: Inspection, observer: Observer) -> tuple[Values, dict[str, int]]:
    sound = sound_containers(found)
    if isinstance(sound, Unavailable):
        return sound, {}
    values: list[TensorValues] = []
    sums: dict[str, int] = {}
    with observer.progress() as progress:
        progress.start(sum(c.size for c in sound), "scanning")
        for container in sound:
            name = container.file
            sums[name] = 0

            def add(block: memoryview, name: str = name) -> None:
                sums[name] = crc64(block, sums[name])

            with weights_of(found, container) as file:
                values += scan_file(
                    file, container, on_bytes=progress.advance, also=add
                )
    return tuple(values), sums


def _vision_tower(found: Inspection) -> VisionTowerComparison | Unavailable:
    """The vision tower of full weights against the base's own copy."""
    if found.weight_type is not WeightType.FULL:
        return Unavailable("an adapter has no vision tower")
    return compare_vision_tower(found.directory, found.containers, found.reference)
