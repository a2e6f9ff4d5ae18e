"""The upload: stage, judge, publish; then verify.

The values are scanned in the very bytes that are sent: each byte is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from preflight.findings import Unavailable
from preflight.model.scan import TensorValues, ValueScanner
from preflight.observer import Observer
from preflight.oss.body import OnBlock
from preflight.oss.client import BucketClient
from preflight.pipeline.checked import (
    Checked,
    judged,
    require_passed,
)
from preflight.pipeline.scan import Scan, Scanned
from preflight.upload.forecast import forecast
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import UploadPlan
from preflight.upload.transfer import Manifest, Upload
from preflight.upload.verify import stored_manifest, verify


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What lies in the bucket now, and how many bytes this run sent for it.

    `tasks`: how many brought it together.
    """

    plan: UploadPlan
    manifest: Manifest
    sent: int = 0
    verified: bool = False
    tasks: int = 1


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """An upload that did not come to its end; OSS took `sent` bytes from this run."""

    plan: UploadPlan
    sent: int = 0


class Tap:
    """Hands the bytes on their way to the scanner of their file; to be closed."""

    def __init__(self, checked: Checked, plan: UploadPlan) -> None:
        self._scan = Scan(checked.found, measure=checked.options.measure)
        self._sound = self._scan.sound
        sent = {item.name for item in plan.items}
        self._scanners: dict[str, ValueScanner] = {}
        if not isinstance(self._sound, Unavailable):
            # What does not go up never passes here: `seen` reads it from the disk.
            chosen = (c for c in self._sound if c.file in sent)
            self._scanners = {c.file: self._scan.scanner(c) for c in chosen}

    def take(self, name: str, offset: int, block: memoryview) -> None:
        """A block of any file; those of weights are scanned."""
        if scanner := self._scanners.get(name):
            scanner.feed(offset, block)

    def seen(self) -> Scanned:
        """What was found; a file that was not sent is read now."""
        if isinstance(self._sound, Unavailable):
            return Scanned(self._sound, self._sound)
        found: list[TensorValues] = []
        for container in self._sound:
            scanner = self._scanners.get(container.file)
            if scanner is not None:
                found += scanner.result()
            else:
                found += self._scan.read(container).values
        return self._scan.ended(tuple(found))

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        self._scan.close()


def uploaded(
    plan: UploadPlan,
    checked: Checked,
    bucket: BucketClient,
    options: TransferOptions,
    observer: Observer,
) -> Uploaded:
    """Send the plan; nothing becomes visible before the last value was judged.

    Raises `RulesFailed`, and what the transfer raises.
    """
    for line in forecast(plan, options):
        observer.say(line)
    with ExitStack() as stack:
        stack.enter_context(observer.stage("upload"))
        progress = stack.enter_context(observer.progress())
        tap = stack.enter_context(Tap(checked, plan)) if checked.due else None
        look: OnBlock | None = tap.take if tap else None
        progress.start(plan.total_bytes, "uploading")
        upload = Upload(plan, bucket, options, progress=progress, on_block=look)
        stack.enter_context(told_when_broken(lambda: upload.sent, plan, observer))
        with upload:
            upload.stage()
            if tap is not None:
                # The last moment at which nothing is visible: to raise here is to
                # publish nothing.
                require_passed(judged(checked, tap.seen(), observer))
            manifest = upload.publish()
            sent = upload.sent
    return verified(Uploaded(plan, manifest, sent), bucket, options, observer)


@contextmanager
def told_when_broken(
    sent: Callable[[], int], plan: UploadPlan, observer: Observer
) -> Iterator[None]:
    """However it is broken off, what was sent is told."""
    try:
        yield
    # Ctrl-C and SIGTERM, too: a record without it would say that nothing went up.
    except BaseException:
        observer.reached(BrokenOff(plan, sent()))
        raise


def found_there(
    plan: UploadPlan,
    bucket: BucketClient,
    options: TransferOptions,
    observer: Observer,
) -> Uploaded:
    """The same for files that were compared a moment ago and are all there."""
    with observer.stage("upload"):
        # Nothing was sent, so what OSS says of the objects is all there is to tell.
        manifest = stored_manifest(bucket, plan)
    return verified(Uploaded(plan, manifest), bucket, options, observer)


def verified(
    there: Uploaded,
    bucket: BucketClient,
    options: TransferOptions,
    observer: Observer,
) -> Uploaded:
    """What was uploaded, held against what the bucket lists; told to the observer."""
    # Before it is verified: a run that ends in between still says what it brought.
    observer.reached(there)
    with observer.stage("verify"):
        verify(bucket, there.manifest, allow_extra=options.allow_extra)
    done = replace(there, verified=True)
    observer.reached(done)
    return done
