"""Judge a directory: the cheap rules first, then those that need the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from preflight.errors import RulesFailed
from preflight.findings import (
    Report,
    Result,
    Severity,
    Unavailable,
    Verdict,
    WeightType,
)
from preflight.language import say
from preflight.model.inspection import Inspection, inspect, opener
from preflight.model.scan import TensorValues
from preflight.model.update_map import UpdateMap
from preflight.model.vision_tower import VisionTowerComparison, compare_vision_tower
from preflight.observer import Observer
from preflight.pipeline.options import CheckOptions
from preflight.pipeline.scan import NOT_MEASURED, Scan, Scanned
from preflight.rules import SCAN_RULES, STATIC_RULES


@dataclass(frozen=True, slots=True)
class Checked:
    """A directory that was looked at, and what the rules said of it so far.

    `due`: the values are not judged yet. `sums` holds the CRC-64 of each file that
    was read for that, `updates` what training changed, measured in the same bytes.
    """

    options: CheckOptions
    found: Inspection
    report: Report
    due: bool = True
    sums: Mapping[str, int] = field(default_factory=dict)
    updates: UpdateMap | Unavailable = NOT_MEASURED


def check(options: CheckOptions, observer: Observer) -> Checked:
    """Inspect and judge a directory, values included unless that is not wanted.

    Raises `UsageError` when there is no such directory.
    """
    checked = inspected(options, observer)
    if options.scan:
        return scanned(checked, observer)
    return unscanned(checked, _why_not_scanned(options), observer)


def _why_not_scanned(options: CheckOptions) -> str:
    if options.source.location.url:
        return say("values in a bucket are read with --scan alone")
    return say("not scanned, as --no-scan asks")


def inspected(options: CheckOptions, observer: Observer) -> Checked:
    """Look at names, JSON files and headers, and judge all but the values.

    Raises `UsageError` when there is no such directory.
    """
    # What needs no values comes first: most mistakes show there, in less than a second.
    with observer.stage("inspect"):
        found = inspect(options.source, options.request)
    with observer.stage("rules"):
        kind = found.weight_type
        report = Report(options.policy.run(STATIC_RULES, found, kind))
    return _told(Checked(options, found, report), observer)


def scanned(checked: Checked, observer: Observer) -> Checked:
    """Read all weights once: judge their values, and keep the CRC-64 of each file."""
    with observer.stage("scan"):
        seen, sums = _scan(checked, observer)
        return judged(replace(checked, sums=sums), seen, observer)


def unscanned(checked: Checked, reason: str, observer: Observer) -> Checked:
    """The rules that need values are skipped, with the reason."""
    # Not read is not passed: who reads the report must see that nobody looked.
    missing = Unavailable(reason)
    return _judged(checked, Scanned(missing, missing), missing, observer)


def judged(checked: Checked, seen: Scanned, observer: Observer) -> Checked:
    """Run the rules that need the values, which somebody has read."""
    return _judged(checked, seen, _vision_tower(checked.found), observer)


def _judged(
    checked: Checked,
    seen: Scanned,
    tower: VisionTowerComparison | Unavailable,
    observer: Observer,
) -> Checked:
    found = replace(checked.found, values=seen.values, tower=tower)
    outcomes = checked.options.policy.run(SCAN_RULES, found, found.weight_type)
    report = checked.report.joined(outcomes)
    told = replace(checked, found=found, report=report, due=False, updates=seen.updates)
    return _told(told, observer)


def _told(checked: Checked, observer: Observer) -> Checked:
    observer.reached(checked)
    return checked


def require_passed(checked: Checked) -> None:
    """Raise `RulesFailed` when a rule of level error failed."""
    if checked.report.verdict is Verdict.FAIL:
        error = RulesFailed(
            say("the model would not import as it is"),
            hint=say("mend what is named above and run the same command again"),
        )
        # Warnings failed, too, and are told; they are no reason to stop.
        failed = checked.report.select(Result.FAILED)
        error.outcomes = tuple(o for o in failed if o.severity is Severity.ERROR)
        raise error


def _scan(checked: Checked, observer: Observer) -> tuple[Scanned, dict[str, int]]:
    with Scan(checked.found, measure=checked.options.measure) as scan:
        if isinstance(scan.sound, Unavailable):
            return Scanned(scan.sound, scan.sound), {}
        values: list[TensorValues] = []
        sums: dict[str, int] = {}
        with observer.progress() as progress:
            progress.start(sum(c.size for c in scan.sound), "scanning")
            for container in scan.sound:
                read = scan.read(container, on_bytes=progress.advance)
                values += read.values
                # It costs next to nothing in the same pass, and `{digest}` need not
                # read again.
                sums[container.file] = read.crc
        return scan.ended(tuple(values)), sums


def measured(found: Inspection, observer: Observer) -> UpdateMap | Unavailable:
    """What training changed, for somebody who asks for nothing else.

    Raises `Changed` and `Unreadable`.
    """
    options = CheckOptions(found.source, measure=True)
    seen, _ = _scan(Checked(options, found, Report()), observer)
    return seen.updates


def _vision_tower(found: Inspection) -> VisionTowerComparison | Unavailable:
    """The vision tower of full weights against the base's own copy."""
    if found.weight_type is not WeightType.FULL:
        return Unavailable(say("an adapter has no vision tower"))
    files = opener(found.source, found.files)
    return compare_vision_tower(files, found.containers, found.reference)
