"""A push that several tasks do together: what each of them does in its stage `upload`.

Each scans the tensors that begin in its share, and reads the rest of one that ends
beyond it. An adapter is small, and what is judged of it is judged of all its matrices
at once: of that every task scans all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace

from preflight import __version__
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.headers import Container, Tensor
from preflight.model.scan import TensorValues, ValueScanner
from preflight.model.steady import BLOCK
from preflight.observer import Observer
from preflight.oss.body import OnBlock
from preflight.oss.client import BucketClient
from preflight.pipeline.checked import Checked, judged, require_passed
from preflight.pipeline.scan import Scanned, weights_of
from preflight.pipeline.uploaded import Tap, Uploaded, told_when_broken, verified
from preflight.progress import human_size
from preflight.tasks import Task
from preflight.upload.helper import HelperUpload
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import UploadPlan
from preflight.upload.publisher import Shared, SharedUpload
from preflight.upload.shares import Shares, shared_items


@dataclass(frozen=True, slots=True)
class Share:
    """One task's part in a push."""

    plan: UploadPlan
    checked: Checked
    task: Task

    @property
    def shared(self) -> Shared:
        """What all tasks must have in common: a version, and rules with their flags."""
        options = self.checked.options
        policy, found = options.policy, self.checked.found
        base = "" if isinstance(found.base, Unavailable) else found.base.code
        # Tasks that judge by other rules would vouch for what this one refuses.
        terms = (
            __version__,
            base,
            f"scan {options.scan}",
            f"strict {policy.strict}",
            f"select {' '.join(policy.select)}",
            f"ignore {' '.join(sorted(policy.ignore))}",
        )
        return Shared(self.task, ", ".join(terms))

    def tap(self) -> SharedTap | None:
        """What scans the values on their way, unless they were judged already."""
        return SharedTap(self) if self.checked.due else None


@dataclass(frozen=True, slots=True)
class Brought:
    """A share that is in the bucket: `size` bytes, of which this run sent `sent`."""

    plan: UploadPlan
    task: Task
    size: int = 0
    sent: int = 0


class SharedTap(Tap):
    """Hands the bytes on their way to the scanners, and judges one task's tensors."""

    def __init__(self, share: Share) -> None:
        # How far full weights lie from the base's is measured over all of them or not.
        checked = share.checked
        options = replace(checked.options, measure=False)
        super().__init__(replace(checked, options=options), share.plan)
        self._share = share
        items = shared_items(share.plan.items)
        self._shares = Shares(items, share.task.count)
        self._names = {item.name for item in items}
        self._ranks = {share.task.rank}

    def own(self, ranks: Iterable[int]) -> None:
        """The tensors of these tasks, too, are judged here."""
        self._ranks.update(ranks)

    def seen(self) -> Scanned:
        """What was found; bytes that did not pass here are read now."""
        if isinstance(self._sound, Unavailable):
            return Scanned(self._sound, self._sound)
        found: list[TensorValues] = []
        for container in self._sound:
            scanner = self._scanners.get(container.file)
            if scanner is None:
                found += self._scan.read(container).values
                continue
            wanted = self._wanted(container)
            self._fill(scanner, container, wanted)
            found += scanner.result(wanted)
        return self._scan.ended(tuple(found))

    def _wanted(self, container: Container) -> Callable[[Tensor], bool]:
        # Rules compare an adapter's matrices with one another, and a part of them says
        # nothing.
        whole = self._share.checked.found.weight_type is WeightType.LORA
        if whole or container.file not in self._names:
            return lambda _: True

        def is_mine(tensor: Tensor) -> bool:
            return self._shares.owner(container.file, tensor.start) in self._ranks

        return is_mine

    def _fill(
        self,
        scanner: ValueScanner,
        container: Container,
        wanted: Callable[[Tensor], bool],
    ) -> None:
        # A tensor that begins in this share may end in the next: its rest is read here.
        missing = scanner.missing(wanted)
        if not missing:
            return
        with closing(weights_of(self._share.checked.found, container)) as file:
            for each in missing:
                for at in range(each.start, each.stop, BLOCK):
                    block = file.read(at, min(BLOCK, each.stop - at))
                    scanner.feed(at, memoryview(block))
            # Half of one state and half of another must not be vouched for.
            file.check_unchanged()


def published_together(
    share: Share, bucket: BucketClient, options: TransferOptions, observer: Observer
) -> Uploaded:
    """What the publishing task does: its share, and all that the others brought.

    Raises `RulesFailed` and `AnotherTaskFailed` before anything became visible, and
    what the transfer raises.
    """
    plan, checked = share.plan, share.checked
    observer.say(_told(share))
    with ExitStack() as stack:
        stack.enter_context(observer.stage("upload"))
        progress = stack.enter_context(observer.progress())
        tap = share.tap()
        look = _entered(stack, tap)
        progress.start(plan.total_bytes, "uploading")
        upload = SharedUpload(
            plan,
            bucket,
            options,
            share.shared,
            progress=progress,
            on_block=look,
            tell=observer.say,
        )
        stack.enter_context(told_when_broken(lambda: upload.sent, plan, observer))
        with upload:
            upload.stage()
            _judge(checked, tap, observer)
            # A share that is taken over brings values that nobody vouched for.
            while taken := upload.gather():
                if tap is not None:
                    tap.own(taken)
                _judge(checked, tap, observer)
            manifest = upload.publish()
            sent = upload.sent
    done = Uploaded(plan, manifest, sent, tasks=share.task.count)
    return verified(done, bucket, options, observer)


def helped(
    share: Share, bucket: BucketClient, options: TransferOptions, observer: Observer
) -> Brought:
    """What any other task does: its share, and not a byte more.

    Raises what `published_together` raises.
    """
    observer.say(_told(share))
    with ExitStack() as stack:
        stack.enter_context(observer.stage("upload"))
        progress = stack.enter_context(observer.progress())
        tap = share.tap()
        look = _entered(stack, tap)
        upload = HelperUpload(
            share.plan,
            bucket,
            options,
            share.shared,
            progress=progress,
            on_block=look,
            tell=observer.say,
        )
        progress.start(upload.size, "uploading")
        told = told_when_broken(lambda: upload.sent, share.plan, observer)
        stack.enter_context(told)
        with upload:
            upload.join()
            upload.stage()
            # In this order: what is vouched for is published without another look.
            _judge(share.checked, tap, observer)
            upload.vouch()
    done = Brought(share.plan, share.task, upload.size, upload.sent)
    observer.reached(done)
    return done


def nothing_to_bring(share: Share, observer: Observer) -> Brought:
    """All files were compared a moment ago, and are there."""
    done = Brought(share.plan, share.task)
    observer.reached(done)
    return done


def _entered(stack: ExitStack, tap: SharedTap | None) -> OnBlock | None:
    return None if tap is None else stack.enter_context(tap).take


def _judge(checked: Checked, tap: SharedTap | None, observer: Observer) -> None:
    if tap is not None:
        require_passed(judged(checked, tap.seen(), observer))


def _told(share: Share) -> str:
    shares = Shares(shared_items(share.plan.items), share.task.count)
    size = human_size(shares.total // share.task.count)
    if share.task.publishes:
        return say(
            "task {task}: about {size} are its share; it publishes",
            task=share.task.told,
            size=size,
        )
    return say(
        "task {task}: about {size} are its share; task 0 publishes",
        task=share.task.told,
        size=size,
    )
