"""Proof that the bucket holds what was sent: keys, sizes, CRC-64, storage class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from preflight.catalog.service import is_importable_class
from preflight.errors import VerificationFailed
from preflight.language import glued, joined, say
from preflight.oss.client import BucketClient
from preflight.oss.models import ListedObject, ObjectHead
from preflight.together import Asked
from preflight.upload.plan import UploadPlan
from preflight.upload.transfer import Manifest, UploadedObject

_NAMED = 5  # how many complaints a message holds


@dataclass(frozen=True, slots=True)
class Verification:
    """A manifest that was found in the bucket; `extra` are tolerated other keys."""

    manifest: Manifest
    extra: tuple[str, ...] = ()


def _complaint(
    sent: UploadedObject, listed: ListedObject | None, head: ObjectHead | None
) -> str:
    """What is wrong with one object, or nothing."""
    if listed is None:
        return say("is missing")
    if listed.size != sent.size:
        return say(
            "has {size} bytes, {sent} were sent", size=listed.size, sent=sent.size
        )
    if not is_importable_class(listed.storage_class):
        return say(
            "is of storage class {storage_class}", storage_class=listed.storage_class
        )
    if head is None:
        return say("is missing")
    if head.crc64 is None:
        return say("has no CRC-64")
    if head.crc64 != sent.crc64:
        return say(
            "has CRC-64 {crc64:016x}, {sent:016x} was sent",
            crc64=head.crc64,
            sent=sent.crc64,
        )
    return ""


def _complaints(
    manifest: Manifest,
    listed: Mapping[str, ListedObject],
    heads: Mapping[str, ObjectHead | None],
) -> Iterator[str]:
    start = len(manifest.destination.prefix)
    for sent in manifest.objects:
        if words := _complaint(sent, listed.get(sent.key), heads[sent.key]):
            yield glued(sent.key[start:], " ", words)


def _listed(client: BucketClient, prefix: str) -> dict[str, ListedObject]:
    found = {item.key: item for item in client.list_objects(prefix)}
    # Making a "folder" in the console leaves an empty object of the prefix's name.
    if prefix in found and found[prefix].size == 0:
        del found[prefix]
    return found


def stored_manifest(client: BucketClient, plan: UploadPlan) -> Manifest:
    """The manifest of files that are known to lie in the bucket already.

    Raises `VerificationFailed` when one is gone meanwhile.
    """
    objects = []
    heads = client.heads(item.key for item in plan.items)
    for item in plan.items:
        head = heads[item.key]
        if head is None or head.crc64 is None:
            raise VerificationFailed(
                say("{name} vanished from the bucket", name=item.name)
            )
        objects.append(UploadedObject(item.key, head.size, head.crc64))
    return Manifest(plan.destination, tuple(objects))


def verify(
    client: BucketClient, manifest: Manifest, *, allow_extra: bool = False
) -> Verification:
    """Compare what lies under the destination with the manifest.

    Other objects there fail too, unless `allow_extra`. Raises `VerificationFailed`
    naming what differs, and what the client raises.
    """
    # The listing says what a HEAD for each key would not: which keys lie there
    # besides. An import takes all of them for the model's.
    prefix = manifest.destination.prefix
    asked = Asked(lambda: _listed(client, prefix))
    heads = client.heads(sent.key for sent in manifest.objects)
    listed = asked.result()
    complaints = list(_complaints(manifest, listed, heads))
    extra = sorted(set(listed) - {sent.key for sent in manifest.objects})
    if not allow_extra:
        complaints += [
            say("{key} does not belong there", key=key[len(prefix) :]) for key in extra
        ]
    if complaints:
        named, more = joined("; ", complaints[:_NAMED]), len(complaints) - _NAMED
        if more > 0:
            named = say("{named} and {count:,} more", named=named, count=more)
        raise VerificationFailed(
            glued(manifest.destination.url, ": ", named),
            hint=say(
                "run the upload again; if other objects lie there, take a new prefix"
            ),
        )
    return Verification(manifest, tuple(extra))
