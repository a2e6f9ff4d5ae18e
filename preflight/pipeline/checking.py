"""Judge a directory: the cheap rules first, then those that need the values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from preflight.crc import crc64
from preflight.errors import RulesFailed
from preflight.findings import Report, Unavailable, Verdict, WeightType
from preflight.model.headers import Broken, Container, Unread
from preflight.model.inspection import Inspection, inspect
from preflight.model.scan import TensorValues, scan_file
from preflight.model.steady import SteadyFile, open_steady
from preflight.model.vision_tower import VisionTowerComparison, compare_vision_tower
from preflight.pipeline.options import CheckOptions
from preflight.record import RunRecord
from preflight.rules import SCAN_RULES, STATIC_RULES
from preflight.screen import Screen

Values = tuple[TensorValues, ...] | Unavailable
NOT_ASKED = "not scanned, as --no-scan asks"


class Check:
    """One directory under examination; all findings go into `record.report`.

    Making one inspects the directory and runs the rules that need no values. Raises
    `UsageError` when there is no such directory.
    """

    def __init__(self, options: CheckOptions, record: RunRecord) -> None:
        self.options = options
        self.record = record
        with record.timed("inspect"):
            self.found = inspect(options.directory, options.request)
        if isinstance(self.found.weight_type, WeightType):
            record.weight_type = self.found.weight_type
        if not isinstance(self.found.base, Unavailable):
            record.base_model = self.found.base.code
        with record.timed("rules"):
            kind = self.found.weight_type
            record.report = Report(options.policy.run(STATIC_RULES, self.found, kind))

    def scan(self, screen: Screen) -> Mapping[str, int]:
        """Read the weights and judge their values; the CRC-64 of each file read."""
        with self.record.timed("scan"):
            scanned = scan(self.found, screen)
            self.judge(scanned.values)
        return scanned.sums

    def skip_scan(self, reason: str) -> None:
        """Note that the rules that need values were not judged, and why."""
        self._judge(Unavailable(reason), Unavailable(reason))

    def judge(self, values: Values) -> None:
        """Run the rules that need the values, which somebody has read."""
        self._judge(values, compared_vision_tower(self.found))

    def _judge(
        self, values: Values, tower: VisionTowerComparison | Unavailable
    ) -> None:
        found = replace(self.found, values=values, tower=tower)
        outcomes = self.options.policy.run(SCAN_RULES, found, found.weight_type)
        self.record.report = self.record.report.joined(outcomes)

    def refuse_failed(self) -> None:
        """Raise `RulesFailed` when a rule of level error failed."""
        if self.record.report.verdict is Verdict.FAIL:
            raise RulesFailed(
                "the model would not import as it is",
                hint="mend what is named above and run the same command again",
            )


def check(options: CheckOptions, record: RunRecord, screen: Screen) -> Inspection:
    """Inspect and judge a directory, values included unless that is not wanted.

    Raises `UsageError` when there is no such directory.
    """
    examined = Check(options, record)
    if options.scan:
        examined.scan(screen)
    else:
        examined.skip_scan(NOT_ASKED)
    return examined.found


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
        if isinstance(container, Unread):
            return Unavailable(f"{container.file} was not read: {container.reason}")
    return tuple(c for c in found.containers if isinstance(c, Container))


def weights_of(found: Inspection, container: Container) -> SteadyFile:
    """A weight file as it was when it was inspected; the caller closes it.

    Raises `Changed` and `Unreadable`.
    """
    entry = found.files[container.file]
    return open_steady(entry.real_path, entry.name, entry.stamp)


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

            with weights_of(found, container) as file:
                values += scan_file(
                    file, container, on_bytes=progress.advance, also=add
                )
    return Scanned(tuple(values), sums)


def compared_vision_tower(found: Inspection) -> VisionTowerComparison | Unavailable:
    """The vision tower of full weights against the base's own copy."""
    if found.weight_type is not WeightType.FULL:
        return Unavailable("an adapter has no vision tower")
    return compare_vision_tower(found.directory, found.containers, found.reference)
