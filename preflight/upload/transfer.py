"""The transfer: every byte read once, nothing visible before everything is right.

All files of a plan are cut into parts, and the parts of all files are one queue, done
by a few threads. When every part is in the bucket and right, `before_publish` has the
last word; then the uploads are completed, weights first, the key configs last.

The bucket is the checkpoint. Parts and objects that an earlier run left, killed at any
moment and on any machine, are compared with the local bytes and not sent again. Two
runs on two machines at once come to the right end, too: they take up the same upload
when the second finds one; parts are the same whoever sends them; an upload that the
other one completed or aborted is looked for again (a few times), and an object that
appeared meanwhile is accepted only if its size and CRC-64 are the expected ones. On one
machine `preflight.lock` keeps the second run out.

What a network failure, a kill or Ctrl-C leaves stays for the next run. A finding, a
changed file or a refusal takes everything back that is not yet visible.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from preflight.catalog.uploadable import Role
from preflight.destination import Destination
from preflight.errors import (
    PreflightError,
    RulesFailed,
    SourceChanged,
    TransferError,
    UsageError,
    VerificationFailed,
)
from preflight.oss.body import OnBlock
from preflight.oss.client import PROBE_PREFIX, BucketClient
from preflight.oss.errors import KeysExpired, PermissionMissing, Refused
from preflight.upload.context import Context, check_path
from preflight.upload.multipart import MultipartFile
from preflight.upload.parts import (
    MAX_PART,
    MIB,
    PART,
    TransferOptions,
    part_size,
    wanted_part,
)
from preflight.upload.plan import UploadItem, UploadPlan
from preflight.upload.resume import Resumable, find_resumable
from preflight.upload.single_put import SinglePut
from preflight.upload.throttle import Throttle
from preflight.upload.workers import Job, Workers

__all__ = [
    "MAX_PART",
    "MULTIPART_FROM",
    "PART",
    "Manifest",
    "TransferOptions",
    "UploadedObject",
    "part_size",
    "transfer",
]

MULTIPART_FROM = MIB  # smaller files, but for weights, wait in memory
_ROUNDS = 4  # how often a file is taken up again whose upload went away

# What takes everything back; after all else the parts stay for the next run.
_FINAL = (
    RulesFailed,
    SourceChanged,
    PermissionMissing,
    Refused,
    UsageError,
    VerificationFailed,
)

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


def _is_staged(item: UploadItem) -> bool:
    if isinstance(item.source, bytes) or not item.size:
        return False
    return item.role is Role.WEIGHTS or item.size >= MULTIPART_FROM


class _Transfer:
    """One plan on its way."""

    def __init__(
        self, plan: UploadPlan, resumable: Resumable, context: Context
    ) -> None:
        self._plan, self._resumable, self._context = plan, resumable, context
        self._client, self._workers = context.client, context.workers
        self._staged: list[MultipartFile] = []
        self._whole: list[SinglePut] = []
        for item in plan.items:
            listed = resumable.objects.get(item.key)
            if _is_staged(item):
                self._staged.append(MultipartFile(item, context, listed))
            else:
                self._whole.append(SinglePut(item, context, listed))
        self._staged.sort(key=lambda file: -file.item.size)

    def prepare(self) -> None:
        """Find what earlier runs left of each file."""
        jobs = []
        for file in self._staged:
            key = file.item.key
            uploads = self._resumable.uploads.get(key, ())
            listed = self._resumable.objects.get(key)
            alike = listed is not None and listed.size == file.item.size
            if alike or uploads:
                jobs.append(_ignoring_buffer(partial(file.prepare, alike, uploads)))
        # A file that was put in one piece now may have been in parts before.
        jobs += [
            _ignoring_buffer(partial(self._client.abort, one.key, one.upload_id))
            for file in self._whole
            for one in self._resumable.uploads.get(file.item.key, ())
        ]
        self._workers.run(jobs)

    def stage(self) -> None:
        """Bring the parts of all files into the bucket, and small files into memory."""
        small: Iterable[Job] = (job for file in self._whole for job in file.jobs())
        for _ in range(_ROUNDS):
            waiting = [file for file in self._staged if not file.ready]
            lost = [file for file in waiting if file.lost]
            self._workers.run([_ignoring_buffer(file.look_again) for file in lost])
            self._workers.run(
                [*(job for file in waiting for job in file.jobs()), *small]
            )
            small = ()
            if all(file.ready for file in self._staged):
                return
        names = ", ".join(file.item.name for file in self._staged if not file.ready)
        raise TransferError(
            f"the multipart upload of {names} went away again and again",
            hint="another run on the same prefix, or a lifecycle rule, aborts it",
        )

    def publish(self) -> None:
        """Make all visible, in the order of the roles."""
        for item in self._plan.items:
            check_path(item)
        files: list[MultipartFile | SinglePut] = [*self._staged, *self._whole]
        for role in (Role.WEIGHTS, Role.SUPPORT, Role.KEY_CONFIG):
            self._publish([file for file in files if file.item.role is role])

    def _publish(self, files: Sequence[MultipartFile | SinglePut]) -> None:
        for _ in range(_ROUNDS):
            waiting = [file for file in files if not file.published]
            if not waiting:
                return
            self._workers.run([_ignoring_buffer(file.publish) for file in waiting])
            if any(file.lost for file in self._staged):
                self.stage()
        if any(not file.published for file in files):
            raise TransferError("multipart uploads went away again and again")

    def manifest(self) -> Manifest:
        """What lies in the bucket now, in the plan's order."""
        sums = {file.item.key: file.crc for file in self._staged}
        sums |= {file.item.key: file.crc for file in self._whole}
        return Manifest(
            self._plan.destination,
            tuple(
                UploadedObject(item.key, item.size, sums[item.key])
                for item in self._plan.items
            ),
        )

    def close(self) -> None:
        """Close all files."""
        for file in self._staged:
            file.close()

    def sweep(self) -> None:
        """Abort uploads of our keys that are left, such as one begun twice."""
        keys = {item.key for item in self._plan.items}
        for one in self._client.list_uploads(self._plan.destination.prefix):
            if one.key in keys:
                self._client.abort(one.key, one.upload_id)

    def take_back(self) -> None:
        """Abort all that is not visible; what fails is told, not raised."""
        try:
            for file in self._staged:
                file.give_up()
            self.sweep()
        except PreflightError as exc:
            where = self._plan.destination.url
            _log.warning(
                "an unfinished upload stays in the bucket below %s: %s", where, exc
            )


def _ignoring_buffer(call: Callable[[], None]) -> Job:
    return lambda _: call()


def _tell_how_to_go_on(error: PreflightError) -> None:
    words = "finished parts are kept: the same command goes on"
    error.hint = f"{error.hint}; {words}" if error.hint else words


def _run(work: _Transfer, before_publish: Callable[[], None]) -> Manifest:
    try:
        work.prepare()
        work.stage()
        before_publish()
        work.publish()
        work.sweep()
    except _FINAL:
        work.take_back()
        raise
    except (TransferError, KeysExpired) as exc:
        _tell_how_to_go_on(exc)
        raise
    finally:
        work.close()
    return work.manifest()


def _nothing() -> None:
    """Nobody asked to look before the objects become visible."""


def transfer(
    plan: UploadPlan,
    client: BucketClient,
    *,
    on_bytes: Callable[[int], None],
    on_block: OnBlock | None = None,
    before_publish: Callable[[], None] = _nothing,
    options: TransferOptions | None = None,
) -> Manifest:
    """Send all items; what OSS already has is compared, not sent again.

    `on_bytes` hears of bytes that OSS confirmed or already had, never twice.
    `on_block` gets (name, offset, bytes) of each block that is read of a file in
    parts, from several threads, in memory that is used again; a block whose part had
    to be sent again comes again. `before_publish` runs once all parts are there; what
    it raises keeps everything invisible. Raises `SourceChanged` when a file is not
    what was planned, `UsageError` for strangers under the prefix, `AccessDenied`,
    `TransferError`.
    """
    chosen = options or TransferOptions()
    resumable = find_resumable(client, plan, allow_extra=chosen.allow_extra)
    for upload in resumable.foreign:
        if upload.key.rpartition("/")[2].startswith(PROBE_PREFIX):
            client.abort(upload.key, upload.upload_id)  # of a run that was killed
        else:
            _log.warning("an unfinished upload of %s lies there, too", upload.key)
    workers = Workers(chosen.worker_count, client.hurry)
    part = wanted_part((item.size for item in plan.items), chosen)
    throttle = Throttle(chosen.bandwidth, workers.pause)
    context = Context(
        client, workers, throttle, on_bytes, on_block, part, chosen.restart
    )
    return _run(_Transfer(plan, resumable, context), before_publish)
