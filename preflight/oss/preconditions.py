"""Is the bucket one that an import can read from? Asked before any byte goes up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from preflight.catalog.regions import find_region, import_regions
from preflight.findings import Severity
from preflight.oss.client import BucketClient
from preflight.oss.errors import PermissionMissing
from preflight.oss.inspector import BucketInspector

# Model Studio's user guide "Model import", read 2026-11: the bucket carries this tag,
# and is of no class whose objects must be restored before they can be read.
# https://www.alibabacloud.com/help/en/model-studio/model-import
TAG_KEY, TAG_VALUE = "bailian-datahub-access", "read"
CLOCK_TOLERANCE = 60.0  # seconds; OSS itself tolerates 15 minutes
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


def _region_issues(
    name: str, region: str, signed: str, service_region: str
) -> Iterator[BucketIssue]:
    if region != signed:
        yield BucketIssue(
            Severity.ERROR,
            f"{name} lies in {region}, not in {signed}",
            hint=f"set OSS_REGION to {region}, or take a bucket in {signed}",
        )
    if service_region and region != service_region:
        yield BucketIssue(
            Severity.WARNING,
            f"{name} lies in {region}, the import service in {service_region}",
            hint=f"take a bucket in {service_region}",
        )
    elif service_region and not _imports_by_api(service_region):
        open_in = " and ".join(each.id for each in import_regions())
        yield BucketIssue(
            Severity.WARNING,
            f"imports by API are open in {open_in}; in {region} only the console "
            "imports",
            hint=f"take a bucket and an API key in {open_in}, or import by hand",
        )


def _imports_by_api(region: str) -> bool:
    known = find_region(region)
    return known is None or known.import_api


def _info_issues(client: BucketInspector, service_region: str) -> Iterator[BucketIssue]:
    try:
        details = client.details()
    except PermissionMissing as exc:
        yield _cannot_tell("region and storage class", exc, "oss:GetBucketInfo")
        return
    info = details.info
    yield from _region_issues(
        info.name, info.region, client.access.region, service_region
    )
    if not is_importable_class(info.storage_class):
        yield BucketIssue(
            Severity.ERROR,
            f"{info.name} is of storage class {info.storage_class}",
            hint="an import cannot read archived objects: take a Standard bucket",
        )
    if details.acl.startswith("public"):
        yield BucketIssue(
            Severity.WARNING,
            f"{info.name} is {details.acl}: anyone can read what is uploaded",
            hint="set the bucket's ACL to private; an import reads private buckets",
        )
    if details.versioning == "Enabled":
        yield BucketIssue(
            Severity.WARNING,
            f"{info.name} keeps old versions: replaced weights stay and are billed",
            hint="a lifecycle rule can remove old versions",
        )
    yield from _clock_issues(details.clock_ahead)


def _clock_issues(offset: float | None) -> Iterator[BucketIssue]:
    if offset is not None and abs(offset) > CLOCK_TOLERANCE:
        where = "behind" if offset > 0 else "ahead"
        yield BucketIssue(
            Severity.WARNING,
            f"this machine's clock is {abs(offset):.0f} s {where} that of OSS",
            hint="set the clock (NTP); at 15 minutes OSS refuses every request",
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
            hint=f"set {TAG_KEY} = {TAG_VALUE}: `preflight doctor --fix "
            f"oss://{client.bucket}/prefix/`, --tag-bucket, or the OSS console",
        )


def tag_bucket(client: BucketInspector) -> bool:
    """Set the tag unless it is set; whether it had to be. Other tags stay.

    Raises `PermissionMissing` without oss:PutBucketTagging.
    """
    if client.tags().get(TAG_KEY) == TAG_VALUE:
        return False
    client.set_tag(TAG_KEY, TAG_VALUE)
    return True


def check_bucket(
    client: BucketInspector, *, service_region: str = ""
) -> list[BucketIssue]:
    """What about the bucket would make an import fail; empty when all is well.

    `service_region` is where Model Studio runs, if known. A lacking permission to
    ask is a warning. Raises `UsageError` when there is no such bucket, and what the
    client raises for bad keys and a broken network.
    """
    return [*_info_issues(client, service_region), *_tag_issues(client)]
