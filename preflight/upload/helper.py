"""A task that brings its share of a push that another task publishes.

    with HelperUpload(plan, bucket, options, shared, …) as upload:
        upload.join()      # wait until the publishing task has begun
        upload.stage()     # all parts of the share in the bucket
        ...                # the last word on the values of the share
        upload.vouch()     # say that they are right

Nothing that it does makes anything visible. When its values are wrong it says so and
aborts what was begun, so that nothing of it can ever become visible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from preflight.clock import SystemClock
from preflight.errors import Interrupted, PreflightError, TransferError
from preflight.language import say
from preflight.oss.body import OnBlock
from preflight.oss.client import BucketClient
from preflight.oss.errors import Missing
from preflight.oss.models import Part, PendingUpload
from preflight.progress import Progress
from preflight.retry import Patience
from preflight.upload.concurrency import first_workers
from preflight.upload.context import make_context
from preflight.upload.ledger import GONE, HERE, Agreed, Ledger, Marks, ledger_key
from preflight.upload.local_file import LocalFile
from preflight.upload.part_upload import PartState, PartUpload
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import UploadItem, UploadPlan
from preflight.upload.publisher import Shared, another_failed, beat, pause_after
from preflight.upload.resume import LeftUpload, Resumable, find_resumable, grid_of
from preflight.upload.shares import Shares, shared_items, shared_part
from preflight.upload.transfer import WRONG_BYTES, tell_how_to_go_on
from preflight.upload.workers import Job

_OVER_FOR = 5.0  # seconds; what an earlier run left is taken away by then
_STAYS = 1.0  # seconds; of another training they may be visible for a moment
_SOON = 30.0  # seconds; an upload that went away is begun anew by then, or never
_ROUNDS = 4  # how often uploads may go away


@dataclass(slots=True)
class _File:
    """One file of weights: the upload of it, and the parts of it that are to be sent.

    `credited`: the parts of which the progress has heard.
    """

    item: UploadItem
    local: LocalFile
    numbers: list[int]
    upload: PartUpload
    credited: set[int] = field(default_factory=set)

    @property
    def right(self) -> list[Part]:
        """Of its parts those that are in the bucket and right."""
        found = self.upload.right
        return [found[number] for number in self.numbers if number in found]


@dataclass(frozen=True, slots=True)
class _Joined:
    """What the publishing task has begun, and what it calls it."""

    ledger: Ledger
    agreed: Agreed


class HelperUpload:
    """One task's share on its way; `tell` hears what is waited for.

    `progress` hears of the bytes of the share, and `on_block` sees those that are read,
    as with `Upload`.
    """

    def __init__(
        self,
        plan: UploadPlan,
        client: BucketClient,
        options: TransferOptions,
        shared: Shared,
        *,
        progress: Progress | None = None,
        on_block: OnBlock | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._plan, self._client, self._options = plan, client, options
        self._task, self._terms, self._tell = shared.task, shared.terms, tell
        self._items = shared_items(plan.items)
        self._shares = Shares(self._items, shared.task.count)
        part = shared_part(self._items, options)
        self._context = make_context(client, options, part, progress, on_block)
        self._workers = self._context.workers
        self._files: dict[str, _File] = {}
        self._joined: _Joined | None = None
        self._is_over = self._is_published = False
        self._first: Part | None = None  # the mark of task 0 in the ledger just seen
        self._over: int | None = None  # the task that said so in the ledger just seen

    @property
    def sent(self) -> int:
        """Bytes that OSS took from this run."""
        return self._context.traffic.sent

    @property
    def size(self) -> int:
        """About how many bytes the share has."""
        return self._shares.size_of(self._context.part, self._task.rank)

    def __enter__(self) -> HelperUpload:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files.values():
            file.local.close()
        if not isinstance(error, PreflightError) or isinstance(error, Interrupted):
            return
        with suppress(PreflightError):
            if isinstance(error, WRONG_BYTES) and not self._is_over:
                self._end()
            else:
                self._leave()
        if self._files and not isinstance(error, WRONG_BYTES):
            tell_how_to_go_on(error)

    def _leave(self) -> None:
        """Say that nobody need wait for this task."""
        if self._joined is not None:
            self._joined.ledger.tell(self._task, GONE)

    def _end(self) -> None:
        """What was found is wrong: nobody may publish any of it."""
        if self._joined is not None:
            self._joined.ledger.end(self._task)
            self._joined.ledger.tell(self._task, GONE)
        keys = {item.key for item in self._plan.items}
        for one in self._client.list_uploads(self._plan.destination.prefix):
            if one.key in keys:
                self._client.abort(one.key, one.upload_id)

    def join(self) -> None:
        """Wait until the publishing task has begun the uploads, or published already.

        Raises `TransferError` when it does not, `AnotherTaskFailed`, and what asking
        the bucket raises.
        """
        seconds = self._options.patience
        self._await(seconds, visible=seconds)
        self._context.start_with(first_workers(self._client.latency))

    def _await(self, seconds: float, *, visible: float) -> None:
        """Wait so long for what task 0 begins, or for all to be `visible` so long."""
        patience, clock = Patience(seconds), SystemClock()
        began = clock.now()
        over, seen = Patience(min(_OVER_FOR, seconds)), Patience(visible)
        last: Resumable | None = None
        first: Part | None = None
        while True:
            found = find_resumable(
                self._client, self._plan, allow_extra=self._options.allow_extra
            )
            if self._has_joined(found):
                return
            if self._over is None:
                over.moved()
            elif not over.left:
                self._is_over = True
                raise another_failed(self._over, self._task)
            self._is_published = _is_visible(found, self._plan)
            if not self._is_published:
                seen.moved()
            if not patience.left or not seen.left:
                break
            if last is None:
                self._tell(say("waiting for task 0, which begins and publishes"))
            elif last.objects != found.objects or self._first != first:
                patience.moved()  # it is publishing, or comparing what lies there
            last, first = found, self._first
            self._workers.pause(min(pause_after(clock.now() - began), patience.left))
        if not self._is_published:
            raise self._unjoined()

    def _unjoined(self) -> TransferError:
        if self._joined is not None:
            return TransferError(
                say("another task, or somebody else, aborted the uploads of this push"),
                hint=say("the output of the other tasks says why"),
            )
        return TransferError(
            say("task 0 of {count} did not begin", count=self._task.count),
            hint=say(
                "start all tasks with the same command, on a file system where all of "
                "them see the same files"
            ),
        )

    def _has_joined(self, found: Resumable) -> bool:
        """Whether a ledger tells of just what is there."""
        self._over = None
        ids: dict[str, str] = {}
        for item in self._items:
            uploads = found.uploads.get(item.key, ())
            if len(uploads) > 1:
                return False
            if uploads:
                ids[item.name] = uploads[0].upload_id
        agreed = Agreed(self._items, ids, self._task.count, self._terms)
        key = ledger_key(self._plan.destination.prefix)
        for upload in found.foreign:
            if upload.key != key:
                continue
            ledger = Ledger(self._client, upload)
            with suppress(Missing):  # of another run, that ends just now
                if self._is_begun(ledger, agreed):
                    ledger.tell(self._task, HERE)
                    self._take_up(found)
                    return True
        return False

    def _is_begun(self, ledger: Ledger, agreed: Agreed) -> bool:
        marks = ledger.marks()
        self._first, self._over = marks.parts.get(1), marks.over()
        if self._over is not None:
            self._joined = self._joined or _Joined(ledger, agreed)
            return False
        if not marks.says(0, agreed.begun()):
            return False
        self._joined, self._is_published = _Joined(ledger, agreed), False
        return True

    def _take_up(self, found: Resumable) -> None:
        """Cut each file as its upload is cut. Raises `Missing` when one is gone."""
        for item in self._items:
            if uploads := found.uploads.get(item.key):
                self._take_up_file(item, uploads[0])
            elif item.name in self._files:
                self._files[item.name].numbers = []

    def _take_up_file(self, item: UploadItem, upload: PendingUpload) -> None:
        parts = {
            part.number: part
            for part in self._client.list_parts(item.key, upload.upload_id)
        }
        known = self._files.get(item.name)
        local = known.local if known else LocalFile(item, self._context)
        local.cut(grid_of(parts.values(), item.size, local.step) or local.step)
        left = LeftUpload(upload.upload_id, parts, local.step)
        credited = known.credited if known else set()
        numbers = self._shares.numbers(item, local.step, {self._task.rank})
        made = PartUpload(local, self._context, left=left)
        self._files[item.name] = _File(item, local, numbers, made, credited)

    def stage(self) -> None:
        """Bring the parts of the share; those that are there are compared."""
        with ExitStack() as stack:
            if self._joined is not None and not self._is_published:
                ledger = self._joined.ledger
                with suppress(Missing):
                    every = beat(self._options)
                    stack.enter_context(ledger.working(self._task, every, self._steps))
            self._stage()

    def _steps(self) -> int:
        return self._context.traffic.steps

    def _stage(self) -> None:
        for _ in range(_ROUNDS):
            jobs: list[Job] = [
                partial(self._do, file, number)
                for file in self._files.values()
                for number in file.numbers
                if number not in file.upload.right
            ]
            self._workers.run(jobs)
            lost = [f for f in self._files.values() if f.upload.state is PartState.LOST]
            if not lost:
                break
            self._look_again()
        else:
            raise self._unjoined()
        for file in self._files.values():
            if file.numbers:
                file.local.end_reading()

    def _do(self, file: _File, number: int, buffer: memoryview) -> None:
        if not file.upload.do(number, buffer):
            return
        self._context.flow(file.item.name, number, 0)
        if number not in file.credited:
            file.credited.add(number)
            self._context.advance(file.local.span(number)[1])

    def _look_again(self) -> None:
        """An upload went away: it is over, or task 0 was started anew."""
        self._require_going_on()
        self._await(min(_SOON, self._options.patience), visible=_STAYS)
        if self._is_published:  # without this task, which was slow
            self._files.clear()

    def _require_going_on(self) -> None:
        marks = self._marks()
        if marks is not None and (rank := marks.over()) is not None:
            self._is_over = True
            raise another_failed(rank, self._task)

    def _marks(self) -> Marks | None:
        """The marks; None where the ledger is gone."""
        if self._joined is None:
            return None
        try:
            return self._joined.ledger.marks()
        except Missing:
            return None

    def vouch(self) -> None:
        """Say that the share is in the bucket, and that its values are right.

        Raises `AnotherTaskFailed` when another task found that theirs are not.
        """
        for _ in range(_ROUNDS):
            if self._joined is None or self._is_published:
                return
            # Asked before: whoever ended it waits for this task until it leaves a mark.
            self._require_going_on()
            try:
                self._joined.ledger.mark(self._task, self._told(self._joined.agreed))
            except Missing:
                self._look_again()
                self.stage()
                continue
            return
        raise self._unjoined()

    def _told(self, agreed: Agreed) -> str:
        parts: Mapping[str, list[Part]] = {
            name: file.right for name, file in self._files.items() if file.numbers
        }
        return agreed.right(self._task.rank, parts)


def _is_visible(found: Resumable, plan: UploadPlan) -> bool:
    """Whether all objects are there by name and size, and nothing is on its way."""
    if found.uploads:
        return False
    there = found.objects
    return all(
        item.key in there and there[item.key].size == item.size for item in plan.items
    )
