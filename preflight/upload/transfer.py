"""The transfer: every byte read once, nothing visible before everything is right.

    with Upload(plan, bucket, options, progress=progress, on_block=look) as upload:
        upload.stage()                # all parts in the bucket, nothing visible
        ...                           # the last word: to raise is to publish nothing
        manifest = upload.publish()   # weights first, key configs last

All files of a plan are cut into parts, and the parts of all files are one queue, done
by a few threads.

The bucket is the checkpoint. Parts and objects that an earlier run left, killed at any
moment and on any machine, are compared with the local bytes and not sent again. Two
runs on two machines at once come to the right end, too: they take up the same upload
when the second finds one; parts are the same whoever sends them; an upload that the
other one completed or aborted is looked for again (a few times), and an object that
appeared meanwhile is accepted only if its size and CRC-64 are the expected ones. On one
machine `preflight.lock` keeps the second run out.

An outage is waited for until nothing moved for so long as the client's patience says: a
part that fails goes back to the queue, and other workers may take it. A refusal (403,
quota) is no outage and ends all at once.

Whether parts stay when it does not end well is decided by what went wrong. Wrong bytes
(a finding, a file that changed, a CRC-64 that does not fit) are of no use to anybody:
what is not visible is aborted. All else says nothing against the bytes, so the parts
stay for the next run: network, refusal, quota, kill, Ctrl-C, trouble on this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType

from preflight.catalog.uploadable import Role
from preflight.destination import Destination
from preflight.errors import (
    AnotherTaskFailed,
    Interrupted,
    PreflightError,
    RulesFailed,
    SourceChanged,
    TransferError,
    VerificationFailed,
)
from preflight.language import joined, say
from preflight.model.steady import check_steady
from preflight.oss.body import OnBlock
from preflight.oss.client import PROBE_PREFIX, BucketClient
from preflight.oss.errors import OssUnavailable
from preflight.progress import Progress, human_time
from preflight.retry import Patience
from preflight.together import Asked
from preflight.upload.concurrency import first_workers
from preflight.upload.context import make_context
from preflight.upload.ledger import LEDGER
from preflight.upload.multipart import MultipartFile
from preflight.upload.parts import (
    MAX_PART,
    MIB,
    PART,
    TransferOptions,
    fitting_part,
    last_part,
    part_size,
    wanted_part,
)
from preflight.upload.plan import UploadItem, UploadPlan
from preflight.upload.resume import Resumable, find_resumable
from preflight.upload.single_put import SinglePut
from preflight.upload.workers import Job

__all__ = [
    "MAX_PART",
    "MULTIPART_FROM",
    "PART",
    "Manifest",
    "TransferOptions",
    "Upload",
    "UploadedObject",
    "part_size",
]

# Smaller files wait in memory until all is right, and are put in one request instead
# of three. Weights never do: every byte of theirs passes `on_block` while it is sent.
MULTIPART_FROM = MIB
# How often a file is taken up again whose upload went away. Another machine takes one
# away once; what goes on and on is a lifecycle rule or a script, and needs a person.
_ROUNDS = 4

# What says that the bytes themselves are of no use.
WRONG_BYTES = (RulesFailed, AnotherTaskFailed, SourceChanged, VerificationFailed)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UploadedObject:
    """One object as it was sent; `size` in bytes."""

    key: str
    size: int
    crc64: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What must lie under the destination now."""

    destination: Destination
    objects: tuple[UploadedObject, ...]


class Upload:
    """One plan on its way. Leaving the `with` block settles what is not yet visible.

    `progress` hears of bytes that OSS confirmed or already had, never twice; whoever
    made it starts and ends its stage. `on_block` gets (name, offset, bytes) of each
    block that is read of a file in parts, from several threads, in memory that is used
    again; a block whose part had to be sent again comes again.
    """

    def __init__(
        self,
        plan: UploadPlan,
        client: BucketClient,
        options: TransferOptions | None = None,
        *,
        progress: Progress | None = None,
        on_block: OnBlock | None = None,
    ) -> None:
        chosen = options or TransferOptions()
        self._plan, self._client, self._options = plan, client, chosen
        part = wanted_part((item.size for item in plan.items), chosen)
        self._context = make_context(client, chosen, part, progress, on_block)
        self._workers = self._context.workers
        self._multipart: list[MultipartFile] = []
        self._single: list[SinglePut] = []

    @property
    def sent(self) -> int:
        """Bytes that OSS took from this run; what lay there already does not count."""
        return self._context.traffic.sent

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._multipart:
            file.close()
        if isinstance(error, OssUnavailable):
            _tell_how_long(error, self._client.patience)
        # Nothing is aborted that was not found wrong: the parts may be hours of work.
        if isinstance(error, WRONG_BYTES):
            self._take_back()
        elif isinstance(error, PreflightError) and self._may_go_on(error):
            tell_how_to_go_on(error)

    def _may_go_on(self, error: PreflightError) -> bool:
        """Whether the same command is what to do next; Ctrl-C has words of its own."""
        begun = bool(self._multipart or self._single)
        return not isinstance(error, Interrupted) and (
            begun or isinstance(error, TransferError)
        )

    def stage(self) -> None:
        """Bring the parts of all files into the bucket, and small files into memory.

        What OSS already has is compared, not sent again. Nothing becomes visible.
        Raises `SourceChanged` when a file is not what was planned, `UsageError` for
        strangers under the prefix, `AccessDenied`, `TransferError`.
        """
        options = self._options
        found = find_resumable(
            self._client, self._plan, allow_extra=options.allow_extra
        )
        self._settle_foreign(found)
        self._fit(self._client.latency)
        self._sort(found)
        self._refine(self._client.latency)
        self._prepare(found)
        self._bring(job for file in self._single for job in file.jobs())

    def _fit(self, latency: float | None) -> None:
        """Suit workers and parts to a place whose answers take so many seconds."""
        self._context = replace(self._context, part=self._wanted_part(latency))
        self._context.start_with(first_workers(latency))

    def _wanted_part(self, latency: float | None) -> int:
        """The usual part size, in bytes."""
        return wanted_part(
            (item.size for item in self._plan.items), self._options, latency
        )

    def _settle_foreign(self, found: Resumable) -> None:
        for upload in found.foreign:
            name = upload.key.rpartition("/")[2]
            if name.startswith(PROBE_PREFIX) or name == LEDGER:
                # A run was killed between the two halves of its write probe, or while
                # its tasks shared their work.
                self._client.abort(upload.key, upload.upload_id)
            else:
                # Somebody else's: told, as its parts are billed, and left alone.
                _log.warning(
                    say("an unfinished upload of %s lies there, too"), upload.key
                )

    def _sort(self, found: Resumable) -> None:
        """In parts or in one piece? The largest first, so that no worker ends late."""
        for item in self._plan.items:
            listed = found.objects.get(item.key)
            if _is_multipart(item):
                self._multipart.append(MultipartFile(item, self._context, listed))
            else:
                self._single.append(SinglePut(item, self._context, listed))
        self._multipart.sort(key=lambda file: -file.item.size)

    def _refine(self, latency: float | None) -> None:
        """Cut the files at the queue's end finer, that all workers end together."""
        usual = self._context.part
        part = last_part(usual, self._options, latency)
        left = usual * self._options.most_workers  # bytes that are on their way at once
        for file in reversed(self._multipart[1:]):
            if left <= 0:
                break
            file.cut(part)
            left -= file.item.size

    def _prepare(self, found: Resumable) -> None:
        """Find what earlier runs left of each file."""
        jobs = []
        for file in self._multipart:
            key = file.item.key
            uploads = found.uploads.get(key, ())
            listed = found.objects.get(key)
            alike = listed is not None and listed.size == file.item.size
            if alike or uploads:
                jobs.append(_ignoring_buffer(partial(file.prepare, alike, uploads)))
        # A file that is put in one piece now may have been in parts before.
        jobs += [
            _ignoring_buffer(partial(self._client.abort, one.key, one.upload_id))
            for file in self._single
            for one in found.uploads.get(file.item.key, ())
        ]
        self._workers.run(jobs)

    def _bring(self, small: Iterable[Job] = ()) -> None:
        """Send what is missing, until nothing is; uploads may go away meanwhile."""
        # All files' parts are one queue: no worker waits for the end of a file.
        for _ in range(_ROUNDS):
            waiting = [file for file in self._multipart if not file.ready]
            lost = [file for file in waiting if file.lost]
            self._workers.run([_ignoring_buffer(file.look_again) for file in lost])
            self._workers.run([*self._jobs(waiting), *small])
            small = ()
            if all(file.ready for file in self._multipart):
                return
        names = ", ".join(file.item.name for file in self._multipart if not file.ready)
        raise TransferError(
            say(
                "the multipart upload of {names} went away again and again", names=names
            ),
            hint=say("another run on the same prefix, or a lifecycle rule, aborts it"),
        )

    def _jobs(self, files: Iterable[MultipartFile]) -> Iterator[Job]:
        """The parts of the first files, and of the others what brings theirs.

        By the time that those have their turn the rate is known to cut them by.
        """
        parts = 0
        for file in files:
            if parts >= self._options.most_workers and file.fresh:
                yield _ignoring_buffer(partial(self._begin, file))
            else:
                jobs = file.jobs()
                parts += len(jobs)
                yield from jobs

    def _begin(self, file: MultipartFile) -> None:
        rate = self._context.traffic.rate
        file.cut(fitting_part(file.step, rate, self._options))
        self._workers.put_first(file.jobs())

    def publish(self) -> Manifest:
        """Make all visible, in the order of the roles; what lies there now.

        Raises what `stage` raises, and `VerificationFailed` when an object is not the
        sum of its parts.
        """
        # Once more, for all of them: a file read an hour ago may have changed since.
        for item in self._plan.items:
            if isinstance(item.source, Path):
                check_steady(item.source, item.name, item.stamp)
        files: list[MultipartFile | SinglePut] = [*self._multipart, *self._single]
        # An import looks for the key configs: while these are missing, a run that dies
        # in between has published nothing that anyone could import.
        for role in (Role.WEIGHTS, Role.SUPPORT):
            self._publish([file for file in files if file.item.role is role])
        last = [file for file in files if file.item.role is Role.KEY_CONFIG]
        if any(isinstance(file, MultipartFile) for file in last):
            self._publish(last)
            self._sweep()
        else:  # what is swept and what is put have nothing to do with each other
            swept = Asked(self._sweep)
            self._publish(last)
            swept.result()
        return self._manifest()

    def _publish(self, files: Sequence[MultipartFile | SinglePut]) -> None:
        for _ in range(_ROUNDS):
            waiting = [file for file in files if not file.published]
            if not waiting:
                return
            self._workers.run([_ignoring_buffer(file.publish) for file in waiting])
            if any(file.lost for file in self._multipart):
                self._bring()
        if any(not file.published for file in files):
            raise TransferError(say("multipart uploads went away again and again"))

    def _manifest(self) -> Manifest:
        """The objects in the plan's order."""
        sums = {file.item.key: file.crc for file in self._multipart}
        sums |= {file.item.key: file.crc for file in self._single}
        return Manifest(
            self._plan.destination,
            tuple(
                UploadedObject(item.key, item.size, sums[item.key])
                for item in self._plan.items
            ),
        )

    def _sweep(self) -> None:
        """Abort uploads of our keys that are left, such as one begun twice."""
        # InitiateMultipartUpload whose answer was lost is asked again: two exist then.
        keys = {item.key for item in self._plan.items}
        for one in self._client.list_uploads(self._plan.destination.prefix):
            if one.key in keys:
                self._client.abort(one.key, one.upload_id)

    def _take_back(self) -> None:
        """Abort all that is not visible; what fails is told, not raised."""
        try:
            for file in self._multipart:
                file.give_up()
            self._sweep()
        except PreflightError as exc:
            where = self._plan.destination.url
            _log.warning(
                say("an unfinished upload stays in the bucket below %s: %s"), where, exc
            )


def _is_multipart(item: UploadItem) -> bool:
    if isinstance(item.source, bytes) or not item.size:
        return False
    return item.role is Role.WEIGHTS or item.size >= MULTIPART_FROM


def _ignoring_buffer(call: Callable[[], None]) -> Job:
    return lambda _: call()


def _tell_how_long(error: OssUnavailable, patience: Patience) -> None:
    error.message = say(
        "{told}; nothing moved for {time}",
        told=error.message,
        time=human_time(patience.idle),
    )
    error.args = (error.message,)


def tell_how_to_go_on(error: PreflightError) -> None:
    """Add to what is told of an error that what was sent is not lost."""
    words = say("finished parts are kept: the same command goes on")
    error.hint = joined("; ", [error.hint, words]) if error.hint else words
