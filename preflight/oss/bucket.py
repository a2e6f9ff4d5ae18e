"""Is the bucket one that an import can read from? Asked before any byte goes up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from preflight.findings import Severity
from preflight.oss.client import BucketClient
from preflight.oss.faults import PermissionMissing

# Model Studio's user guide "Model import", read 2026-11: the bucket carries this tag,
# and is of no class whose objects must be restored before they can be read.
# https://www.alibabacloud.com/help/en/model-studio/model-import
TAG_KEY, TAG_VALUE = "bailian-datahub-access", "read"
_ARCHIVE_CLASSES = {"Archive", "ColdArchive", "DeepColdArchive"}


@dataclass(frozen=True, slots=True)
class BucketIssue:
    """One thing about a bucket that an import stumbles over, or that is unknown."""

    severity: Severity
    message: str
    hint: str = ""


def is_importable_class(storage_class: str) -> bool:
    """Whether objects of this storage class can be read without a restore."""
    return storage_class not in _ARCHIVE_CLASSES


def _cannot_tell(what: str, error: PermissionMissing, permission: str) -> BucketIssue:
    return BucketIssue(
        Severity.WARNING,
        f"cannot tell {what}: {error.message}",
        hint=f"allow {permission} to this key, or look in the OSS console",
    )


def _info_issues(client: BucketClient, service_region: str) -> Iterator[BucketIssue]:
    try:
        info = client.bucket_info()
    except PermissionMissing as exc:
        yield _cannot_tell("region and storage class", exc, "oss:GetBucketInfo")
        return
    signed = client.access.region
    if info.region != signed:
        yield BucketIssue(
            Severity.ERROR,
            f"{info.name} lies in {info.region}, not in {signed}",
            hint=f"set OSS_REGION to {info.region}, or take a bucket in {signed}",
        )
    if service_region and info.region != service_region:
        yield BucketIssue(
            Severity.WARNING,
            f"{info.name} lies in {info.region}, the import service in "
            f"{service_region}",
            hint=f"take a bucket in {service_region}",
        )
    if not is_importable_class(info.storage_class):
        yield BucketIssue(
            Severity.ERROR,
            f"{info.name} is of storage class {info.storage_class}",
            hint="an import cannot read archived objects: take a Standard bucket",
        )


def _tag_issues(client: BucketClient) -> Iterator[BucketIssue]:
    try:
        value = client.tags().get(TAG_KEY)
    except PermissionMissing as exc:
        yield _cannot_tell(f"the tag {TAG_KEY}", exc, "oss:GetBucketTagging")
        return
    if value != TAG_VALUE:
        found = "is not set" if value is None else f"is {value!r}"
        yield BucketIssue(
            Severity.ERROR,
            f"the tag {TAG_KEY} of {client.bucket} {found}; without it Model Studio "
            "does not see the bucket",
            hint=f"OSS console, bucket, Bucket Tagging: {TAG_KEY} = {TAG_VALUE}",
        )


def check_bucket(
    client: BucketClient, *, service_region: str = ""
) -> list[BucketIssue]:
    """What about the bucket would make an import fail; empty when all is well.

    `service_region` is where Model Studio runs, if known. A lacking permission to
    ask is a warning. Raises `UsageError` when there is no such bucket, and what the
    client raises for bad keys and a broken network.
    """
    return [*_info_issues(client, service_region), *_tag_issues(client)]
