"""The task that publishes what several tasks bring: it begins, waits and completes.

    with SharedUpload(plan, bucket, options, shared, …) as upload:
        upload.stage()             # its own share, and all that is small
        ...                        # the last word on the values of that share
        while taken := upload.gather():
            ...                    # shares of tasks that are gone, brought by this one
        upload.publish()

What the others brought counts when they say so in the ledger and the bucket lists the
very parts that they speak of. A task of which nothing was seen for as long as patience
lasts, or that said that it ended, is not waited for: its share is brought from here,
where parts that are there already are compared and not sent again. So a push ends well
as long as this one task does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from preflight.clock import SystemClock
from preflight.errors import AnotherTaskFailed, PreflightError, TransferError
from preflight.language import joined, say
from preflight.oss.body import OnBlock
from preflight.oss.client import BucketClient
from preflight.oss.errors import Missing
from preflight.oss.models import Part
from preflight.progress import Progress
from preflight.retry import Patience
from preflight.tasks import Task
from preflight.together import together
from preflight.upload.ledger import (
    GONE,
    Agreed,
    Ledger,
    Marks,
    ledger_key,
)
from preflight.upload.multipart import MultipartFile
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import UploadPlan
from preflight.upload.resume import Resumable
from preflight.upload.shares import Shares, shared_items, shared_part
from preflight.upload.transfer import Manifest, Upload
from preflight.upload.workers import Job

# Seconds between two looks at the bucket: a small part of what was waited already.
_SHORTEST, _LONGEST, _PART_OF_IT = 0.1, 5.0, 0.02
_BEAT = 60.0  # seconds
_LINGER = 15.0  # seconds that the others have to see that it is over
_TELL_AFTER = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class Shared:
    """Which task this is, and what all of them must judge by: `terms`."""

    task: Task
    terms: str = ""


def pause_after(seconds: float) -> float:
    """Seconds until the next look, when so many have passed since it was begun."""
    return min(_LONGEST, max(_SHORTEST, seconds * _PART_OF_IT))


def beat(options: TransferOptions) -> float:
    """Seconds after which a task says anew that it is at work: others wait so long."""
    return min(_BEAT, options.patience / 4)


def another_failed(rank: int, task: Task) -> AnotherTaskFailed:
    """The error for a push that another task ended."""
    return AnotherTaskFailed(
        say(
            "task {other} found what must not be published, and nothing was",
            other=f"{rank}/{task.count}",
        ),
        hint=say("its own output says what; mend it and run the same command again"),
    )


class SharedUpload(Upload):
    """An upload to which other tasks bring shares; `tell` hears what it waits for."""

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
        super().__init__(plan, client, options, progress=progress, on_block=on_block)
        self._task, self._terms, self._tell = shared.task, shared.terms, tell
        self._shares = Shares(shared_items(plan.items), shared.task.count)
        self._clock = SystemClock()
        self._began = self._clock.now()
        self._ledger: Ledger | None = None
        self._earlier: Mapping[int, Part] = {}  # marks that an earlier run left
        self._is_open = self._is_over = False
        self._agreed = Agreed(self._shares.items, {}, shared.task.count, shared.terms)
        self._mine = {shared.task.rank}
        self._awaited = set(range(shared.task.count)) - self._mine

    def _settle_foreign(self, found: Resumable) -> None:
        key, others = ledger_key(self._plan.destination.prefix), []
        for upload in found.foreign:
            ledger = Ledger(self._client, upload)
            if upload.key != key or self._ledger or self._options.restart:
                others.append(upload)
            elif self._goes_on(ledger):
                self._ledger = ledger
            else:
                others.append(upload)
        super()._settle_foreign(Resumable(found.objects, found.uploads, tuple(others)))

    def _goes_on(self, ledger: Ledger) -> bool:
        """Whether what an earlier run left can be taken up."""
        try:
            marks = ledger.marks()
        except Missing:
            return False
        self._earlier = marks.parts
        return marks.over() is None

    def _wanted_part(self, latency: float | None) -> int:
        del latency  # every task must cut alike: by sizes alone
        return shared_part(self._shares.items, self._options)

    def _refine(self, latency: float | None) -> None:
        """Not here, for the same reason."""

    @property
    def _weights(self) -> list[MultipartFile]:
        names = {item.name for item in self._shares.items}
        return [file for file in self._multipart if file.item.name in names]

    def _bring(self, small: Iterable[Job] = ()) -> None:
        """Send what is this task's own, once it is settled what there is to send."""
        if not self._is_open:
            self._open()
            self._is_open = True
        for file in self._weights:
            file.share(self._numbers(file, self._mine))
        waiting = [file for file in self._multipart if not file.ready]
        self._workers.run([*(job for file in waiting for job in file.jobs()), *small])
        self._require_all()

    def _numbers(self, file: MultipartFile, ranks: Collection[int]) -> frozenset[int]:
        return frozenset(self._shares.numbers(file.item, file.step, ranks))

    def _open(self) -> None:
        """Compare what lies there; begin an upload of all else, and tell the others."""
        prefix = self._plan.destination.prefix
        ledger = self._ledger = self._ledger or Ledger.begin(self._client, prefix)
        with ledger.working(self._task, beat(self._options), self._steps):
            comparing = [file for file in self._weights if file.comparing]
            self._workers.run([job for file in comparing for job in file.jobs()])
        begun = together(file.begin for file in self._weights)
        names = [file.item.name for file in self._weights]
        ids = dict(zip(names, begun, strict=True))
        # An answer that was lost leaves an upload that nobody knows: the others must
        # not find two of a key.
        known = set(ids.values())
        keys = {file.item.key for file in self._weights}
        for one in self._client.list_uploads(prefix):
            if one.key in keys and one.upload_id not in known:
                self._client.abort(one.key, one.upload_id)
        self._agreed = Agreed(
            self._shares.items,
            {name: upload_id for name, upload_id in ids.items() if upload_id},
            self._task.count,
            self._terms,
        )
        ledger.mark(self._task, self._agreed.begun())

    def _steps(self) -> int:
        return self._context.traffic.steps

    def gather(self) -> frozenset[int]:
        """Wait for the shares of the others; the tasks whose shares are brought here.

        Empty when all is there; else the values of those shares are to be judged, and
        it is called again. Raises `AnotherTaskFailed`, and what `stage` raises.
        """
        patience, since_told = Patience(self._options.patience), Patience(_TELL_AFTER)
        seen: object = None
        while self._awaited:
            look = self._look()
            if self._awaited and look.gone:
                return self._take_over(look.gone)
            if not self._awaited:
                break
            if seen is None or not since_told.left:
                self._tell(look.told)
                since_told.moved()
            if look.seen != seen:
                seen = look.seen
                patience.moved()
            elif not patience.left:
                return self._take_over(frozenset(self._awaited))
            pause = pause_after(self._clock.now() - self._began)
            self._workers.pause(min(pause, patience.left))
        if any(not file.ready for file in self._multipart):
            raise TransferError(say("a part that another task brought is missing"))
        return frozenset()

    def _look(self) -> _Look:
        """Ask the bucket what the others have done; what they vouch for is taken."""
        marks = self._marks()
        listed = self._listed()
        for rank in sorted(self._awaited):
            theirs = self._parts_of(rank, listed)
            summed = all(p.crc64 is not None for ps in theirs.values() for p in ps)
            if marks.says(rank, self._agreed.right(rank, theirs)) and summed:
                for file in self._weights:
                    file.take_over(theirs.get(file.item.name, ()))
                self._awaited.discard(rank)
        gone = frozenset(rank for rank in self._awaited if self._is_gone(rank, marks))
        return _Look(gone, *self._standing(marks, listed))

    def _is_gone(self, rank: int, marks: Marks) -> bool:
        """Whether a task of this run, not of an earlier one, said that it ended."""
        number = rank + 1
        is_new = marks.parts.get(number) != self._earlier.get(number)
        return is_new and marks.word(rank) == GONE

    def _marks(self) -> Marks:
        """The marks; raises when it is over."""
        if self._ledger is None:
            raise self._broken(None)
        try:
            marks = self._ledger.marks()
        except Missing as error:
            raise self._broken(None) from error
        if (rank := marks.over()) is not None:
            self._is_over = True
            raise self._broken(rank)
        return marks

    def _broken(self, rank: int | None) -> PreflightError:
        if rank is not None:
            return another_failed(rank, self._task)
        return TransferError(
            say("the uploads of this push were aborted by somebody else"),
            hint=say("another run on the same prefix, or a lifecycle rule, aborts it"),
        )

    def _require_all(self) -> None:
        """Raise where an upload went away: in a shared push nobody begins it again."""
        if any(file.lost for file in self._multipart):
            self._marks()
            raise self._broken(None)

    def _listed(self) -> dict[str, list[Part]]:
        """The parts that lie in the bucket of each file that still waits for some."""
        files = [file for file in self._weights if not file.ready]

        def parts(file: MultipartFile) -> list[Part]:
            upload_id = self._agreed.ids[file.item.name]
            return list(self._client.list_parts(file.item.key, upload_id))

        try:
            found = together(partial(parts, file) for file in files)
        except Missing as error:
            self._marks()
            raise self._broken(None) from error
        names = [file.item.name for file in files]
        return dict(zip(names, found, strict=True))

    def _parts_of(
        self, rank: int, listed: dict[str, list[Part]]
    ) -> dict[str, list[Part]]:
        """Of the parts that are listed those that a task brings, by file."""
        theirs = {}
        for file in self._weights:
            name = file.item.name
            numbers = self._numbers(file, {rank}) if name in self._agreed.ids else ()
            if numbers:
                parts = listed.get(name, ())
                theirs[name] = [part for part in parts if part.number in numbers]
        return theirs

    def _standing(
        self, marks: Marks, listed: dict[str, list[Part]]
    ) -> tuple[object, str]:
        """What would change if anything moved, and the same in words."""
        there, told = [], []
        for rank in sorted(self._awaited):
            count = sum(map(len, self._parts_of(rank, listed).values()))
            needed = sum(
                len(self._numbers(file, {rank}))
                for file in self._weights
                if file.item.name in self._agreed.ids
            )
            there.append((rank, count, marks.parts.get(rank + 1)))
            name = f"{rank}/{self._task.count}"
            words = say(
                "task {task}: {count} of {needed} parts",
                task=name,
                count=count,
                needed=needed,
            )
            if not marks.has(rank) and not count:
                words = say("task {task}: not seen yet", task=name)
            told.append(words)
        return there, say("waiting for {tasks}", tasks=joined("; ", told))

    def _take_over(self, ranks: frozenset[int]) -> frozenset[int]:
        """Bring what tasks that are gone were to bring; their numbers."""
        for rank in sorted(ranks):
            self._tell(
                say(
                    "task {task} is gone: this task brings its share",
                    task=f"{rank}/{self._task.count}",
                )
            )
        listed = self._listed()
        for file in self._weights:
            file.hold(listed.get(file.item.name, ()))
        self._awaited -= ranks
        self._mine |= ranks
        self._bring()
        return ranks

    def publish(self) -> Manifest:
        """Make all visible; what tasks said to each other is taken away before."""
        if self._ledger is not None:
            self._ledger.abort()
        return super().publish()

    def _take_back(self) -> None:
        ledger = self._ledger
        if ledger is not None:
            with suppress(PreflightError):
                if not self._is_over:  # who said so first is to be named
                    ledger.end(self._task)
        super()._take_back()
        if ledger is not None:
            with suppress(PreflightError):
                self._linger(ledger)
            with suppress(PreflightError):
                ledger.abort()

    def _linger(self, ledger: Ledger) -> None:
        """Let those see why it is over who are at work, or begin just now."""
        patience = Patience(min(_LINGER, self._options.patience))
        others = set(range(self._task.count)) - {self._task.rank}
        while patience.left:
            marks = ledger.marks()
            if not any(marks.is_awaited(rank) for rank in others):
                return
            self._clock.sleep(_SHORTEST)


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at the bucket found of those that are awaited."""

    gone: frozenset[int]
    seen: object
    told: str
