"""What OSS already holds under a prefix, before the first byte: the checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from preflight.errors import UsageError
from preflight.language import say
from preflight.oss.client import BucketClient
from preflight.oss.errors import Missing
from preflight.oss.models import ListedObject, Part, PendingUpload
from preflight.upload.parts import MAX_PARTS, MIN_PART
from preflight.upload.plan import UploadItem, UploadPlan

_NAMED = 5  # how many names a message holds


@dataclass(frozen=True, slots=True)
class LeftUpload:
    """An unfinished upload to go on with, and the `step` in bytes it was cut by."""

    upload_id: str
    parts: Mapping[int, Part]
    step: int

    @property
    def size(self) -> int:
        """How many bytes its parts have."""
        return sum(part.size for part in self.parts.values())


@dataclass(frozen=True, slots=True)
class Resumable:
    """Objects and unfinished uploads of the plan's keys; `foreign` are other keys'."""

    objects: Mapping[str, ListedObject]
    uploads: Mapping[str, tuple[PendingUpload, ...]]
    foreign: tuple[PendingUpload, ...]


def find_resumable(
    client: BucketClient, plan: UploadPlan, *, allow_extra: bool = False
) -> Resumable:
    """Ask what lies below the plan's prefix.

    Raises `UsageError` naming objects that do not belong to the plan, unless
    `allow_extra`, and what the client raises.
    """
    prefix = plan.destination.prefix
    keys = {item.key for item in plan.items}
    # Uploads first: one that a killed run's last request completes meanwhile is then
    # seen twice, as upload and as object, and not overlooked.
    pending = list(client.list_uploads(prefix))
    objects = {item.key: item for item in client.list_objects(prefix)}
    strangers = sorted(
        key
        for key, item in objects.items()
        # Making a "folder" in the console leaves an empty object of the prefix's name.
        if key not in keys and not (key == prefix and item.size == 0)
    )
    if strangers and not allow_extra:
        raise _occupied(plan, strangers)
    uploads: dict[str, tuple[PendingUpload, ...]] = {}
    foreign: list[PendingUpload] = []
    for upload in pending:
        if upload.key in keys:
            uploads[upload.key] = (*uploads.get(upload.key, ()), upload)
        else:
            foreign.append(upload)
    return Resumable(objects, uploads, tuple(foreign))


def _occupied(plan: UploadPlan, strangers: list[str]) -> UsageError:
    prefix = plan.destination.prefix
    names = ", ".join(key[len(prefix) :] for key in strangers[:_NAMED])
    more = len(strangers) - _NAMED
    if more > 0:
        names = say("{named} and {count:,} more", named=names, count=more)
    return UsageError(
        say(
            "{url} holds what does not belong to this model: {names}",
            url=plan.destination.url,
            names=names,
        ),
        hint=say("take a new prefix, or add --allow-extra to leave them there"),
    )


def take_up(
    client: BucketClient,
    item: UploadItem,
    uploads: Iterable[PendingUpload],
    usual: int,
    *,
    restart: bool = False,
) -> LeftUpload | None:
    """The fullest of an item's unfinished uploads; all others are aborted.

    `usual` is the part size in bytes that is preferred where it is open; with
    `restart` every upload is aborted.
    """
    best: LeftUpload | None = None
    for upload in uploads:
        left = None if restart else _left_of(client, item, upload, usual)
        if left is None or (best is not None and left.size <= best.size):
            client.abort(upload.key, upload.upload_id)
            continue
        if best is not None:
            client.abort(item.key, best.upload_id)
        best = left
    return best


def _left_of(
    client: BucketClient, item: UploadItem, upload: PendingUpload, usual: int
) -> LeftUpload | None:
    """An upload's parts, unless it is gone or was cut by no single part size."""
    try:
        found = list(client.list_parts(upload.key, upload.upload_id))
    except Missing:
        return None
    step = grid_of(found, item.size, usual)
    return (
        LeftUpload(upload.upload_id, {p.number: p for p in found}, step)
        if step
        else None
    )


def _fits(parts: Iterable[Part], size: int, step: int) -> bool:
    """Whether the parts are what cutting a file of `size` bytes by `step` gives."""
    if step < min(MIN_PART, size) or step * MAX_PARTS < size:
        return False
    return all(
        0 < part.size == min(step, size - (part.number - 1) * step) for part in parts
    )


def grid_of(parts: Iterable[Part], size: int, usual: int) -> int:
    """The part size (bytes) that these parts of a file were cut by, or 0 if none.

    `usual` is preferred where several would do. `size` is the file's, in bytes.
    """
    known = list(parts)
    candidates = [usual, *{part.size for part in known}]
    for part in known:  # the last part alone tells by where it begins
        before, rest = size - part.size, part.number - 1
        if rest and before % rest == 0:
            candidates.append(before // rest)
    return next((step for step in candidates if _fits(known, size, step)), 0)
