"""Is the bucket one that an import can read from? Asked before any byte goes up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from preflight.catalog.regions import find_region, import_regions
from preflight.catalog.service import is_importable_class
from preflight.findings import Severity
from preflight.language import joined, say
from preflight.oss.client import BucketClient
from preflight.oss.errors import PermissionMissing
from preflight.oss.inspector import BucketInspector
from preflight.together import together

# Model Studio's user guide "Model import", read 2026-11: the bucket carries this tag,
# and is of no class whose objects must be restored before they can be read.
# https://www.alibabacloud.com/help/en/model-studio/model-import
TAG_KEY, TAG_VALUE = "bailian-datahub-access", "read"
CLOCK_TOLERANCE = 60.0  # seconds; OSS itself tolerates 15 minutes


@dataclass(frozen=True, slots=True)
class BucketIssue:
    """One thing about a bucket that an import stumbles over, or that is unknown."""

    severity: Severity
    message: str
    hint: str = ""


def _cannot_tell(what: str, error: PermissionMissing, permission: str) -> BucketIssue:
    return BucketIssue(
        Severity.WARNING,
        say("cannot tell {what}: {message}", what=what, message=error.message),
        hint=say(
            "allow {permission} to this key, or look in the OSS console",
            permission=permission,
        ),
    )


def _region_issues(
    name: str, region: str, signed: str, service_region: str
) -> Iterator[BucketIssue]:
    if region != signed:
        yield BucketIssue(
            Severity.ERROR,
            say(
                "{name} lies in {region}, not in {signed}",
                name=name,
                region=region,
                signed=signed,
            ),
            hint=say(
                "set OSS_REGION to {region}, or take a bucket in {signed}",
                region=region,
                signed=signed,
            ),
        )
    if service_region and region != service_region:
        yield BucketIssue(
            Severity.WARNING,
            say(
                "{name} lies in {region}, the import service in {service_region}",
                name=name,
                region=region,
                service_region=service_region,
            ),
            hint=say(
                "take a bucket in {service_region}", service_region=service_region
            ),
        )
    elif service_region and not _imports_by_api(service_region):
        open_in = joined(say(" and "), [each.id for each in import_regions()])
        yield BucketIssue(
            Severity.WARNING,
            say(
                "imports by API are open in {open_in}; in {region} only the console "
                "imports",
                open_in=open_in,
                region=region,
            ),
            hint=say(
                "take a bucket and an API key in {open_in}, or import by hand",
                open_in=open_in,
            ),
        )


def _imports_by_api(region: str) -> bool:
    known = find_region(region)
    return known is None or known.import_api


def _info_issues(client: BucketInspector, service_region: str) -> Iterator[BucketIssue]:
    try:
        details = client.details()
    except PermissionMissing as exc:
        yield _cannot_tell(say("region and storage class"), exc, "oss:GetBucketInfo")
        return
    info = details.info
    yield from _region_issues(
        info.name, info.region, client.access.region, service_region
    )
    if not is_importable_class(info.storage_class):
        yield BucketIssue(
            Severity.ERROR,
            say(
                "{name} is of storage class {storage_class}",
                name=info.name,
                storage_class=info.storage_class,
            ),
            hint=say("an import cannot read archived objects: take a Standard bucket"),
        )
    if details.acl.startswith("public"):
        yield BucketIssue(
            Severity.WARNING,
            say(
                "{name} is {acl}: anyone can read what is uploaded",
                name=info.name,
                acl=details.acl,
            ),
            hint=say(
                "set the bucket's ACL to private; an import reads private buckets"
            ),
        )
    if details.versioning == "Enabled":
        yield BucketIssue(
            Severity.WARNING,
            say(
                "{name} keeps old versions: replaced weights stay and are billed",
                name=info.name,
            ),
            hint=say("a lifecycle rule can remove old versions"),
        )
    yield from _clock_issues(details.clock_ahead)


def _clock_issues(offset: float | None) -> Iterator[BucketIssue]:
    if offset is not None and abs(offset) > CLOCK_TOLERANCE:
        told = say(
            "this machine's clock is {seconds:.0f} s ahead that of OSS",
            seconds=abs(offset),
        )
        if offset > 0:
            told = say(
                "this machine's clock is {seconds:.0f} s behind that of OSS",
                seconds=offset,
            )
        yield BucketIssue(
            Severity.WARNING,
            told,
            hint=say("set the clock (NTP); at 15 minutes OSS refuses every request"),
        )


def _tag_issues(client: BucketClient) -> Iterator[BucketIssue]:
    try:
        value = client.tags().get(TAG_KEY)
    except PermissionMissing as exc:
        yield _cannot_tell(
            say("the tag {tag_key}", tag_key=TAG_KEY), exc, "oss:GetBucketTagging"
        )
        return
    if value != TAG_VALUE:
        found = say("is not set") if value is None else say("is {value!r}", value=value)
        yield BucketIssue(
            Severity.ERROR,
            say(
                "the tag {tag_key} of {bucket} {found}; without it Model Studio does "
                "not see the bucket",
                tag_key=TAG_KEY,
                bucket=client.bucket,
                found=found,
            ),
            hint=say(
                "set {tag_key} = {tag_value}: `preflight doctor --fix "
                "oss://{bucket}/prefix/`, --tag-bucket, or the OSS console",
                tag_key=TAG_KEY,
                tag_value=TAG_VALUE,
                bucket=client.bucket,
            ),
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
    looks = (
        lambda: list(_info_issues(client, service_region)),
        lambda: list(_tag_issues(client)),
    )
    return [issue for found in together(looks) for issue in found]
