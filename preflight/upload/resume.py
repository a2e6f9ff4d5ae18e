"""What OSS already holds under a prefix, before the first byte: the checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from preflight.errors import UsageError
from preflight.oss.client import BucketClient
from preflight.oss.models import ListedObject, Part, PendingUpload
from preflight.upload.parts import MAX_PARTS, MIN_PART
from preflight.upload.plan import UploadPlan

_NAMED = 5  # how many names a message holds


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
    more = f" and {len(strangers) - _NAMED} more" if len(strangers) > _NAMED else ""
    return UsageError(
        f"{plan.destination.url} holds what does not belong to this model: "
        f"{names}{more}",
        hint="take a new prefix, or add --allow-extra to leave them there",
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
