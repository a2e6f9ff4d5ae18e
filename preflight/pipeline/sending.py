"""The upload of a push: the values are scanned in the very bytes that are sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from preflight.findings import Unavailable
from preflight.model.inspection import Inspection
from preflight.model.scan import TensorValues, ValueScanner, scan_file
from preflight.oss.client import BucketClient
from preflight.pipeline.checking import Values, sound_containers, weights_of
from preflight.screen import Screen
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import UploadPlan
from preflight.upload.transfer import Manifest, Upload


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
                with weights_of(self._found, container) as file:
                    found += scan_file(file, container)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Sent:
    """What lies there now, and how many bytes this run sent for it."""

    manifest: Manifest
    size: int = 0


def send(
    plan: UploadPlan,
    bucket: BucketClient,
    screen: Screen,
    options: TransferOptions,
    *,
    tap: Tap | None,
    judge: Callable[[], None],
) -> Sent:
    """Transfer the plan; what `judge` raises is raised before anything is visible."""
    screen.say(f"uploading {len(plan.items)} files to {plan.destination.url}")
    look = tap.take if tap else None
    with screen.progress() as progress:
        progress.start(plan.total_bytes, "uploading")
        with Upload(plan, bucket, options, progress=progress, on_block=look) as upload:
            upload.stage()
            judge()
            return Sent(upload.publish(), upload.sent)
