"""What is settled before the first byte goes up: the bucket, and what lives there."""

from __future__ import annotations

import dataclasses

from preflight.errors import ConfigurationError
from preflight.findings import Severity
from preflight.oss.body import OnBlock
from preflight.oss.inspector import BucketInspector
from preflight.oss.preconditions import TAG_KEY, TAG_VALUE, check_bucket, tag_bucket
from preflight.pipeline.live import Before, consequence, jobs_reading, refuse_if_live
from preflight.record import RunRecord
from preflight.screen import Screen
from preflight.studio.imports import ImportApi
from preflight.upload.compare import compare
from preflight.upload.plan import UploadPlan


def require_importable(
    inspector: BucketInspector,
    record: RunRecord,
    screen: Screen,
    *,
    service_region: str,
    tag: bool = False,
) -> None:
    """Raise `ConfigurationError` for a bucket that no import can read.

    `tag` sets the tag that an import needs first; other tags stay.
    """
    if tag and tag_bucket(inspector):
        screen.say(f"tagged {inspector.bucket}: {TAG_KEY} = {TAG_VALUE}")
    issues = check_bucket(inspector, service_region=service_region)
    for issue in issues:
        if issue.severity is Severity.WARNING:
            record.notes.append(f"warning: {issue.message}")
            screen.say(f"warning: {issue.message}")
    wrong = [issue for issue in issues if issue.severity is Severity.ERROR]
    if wrong:
        raise ConfigurationError(
            "; ".join(issue.message for issue in wrong),
            hint="; ".join(issue.hint for issue in wrong if issue.hint),
        )


def look_before(
    plan: UploadPlan,
    inspector: BucketInspector,
    api: ImportApi,
    screen: Screen,
    *,
    replace: bool,
    on_block: OnBlock | None = None,
) -> Before:
    """What lies under the destination, and the jobs that read it.

    When files must be read for it, `on_block` sees their bytes.

    Raises `LivePrefix` when the upload would change files of an import, unless
    `replace`; nothing was changed then.
    """
    jobs = jobs_reading(api.list_all(), plan.destination)
    stored = inspector.snapshot(plan.destination.prefix)
    before = Before(stored, jobs)
    if not jobs:
        return before
    with screen.progress() as progress:
        progress.start(plan.total_bytes, "comparing")
        compared = compare(
            plan, stored, inspector, progress=progress, on_block=on_block
        )
        found = list(compared)
    if replace and found:
        screen.say(f"warning: --replace was given: {consequence(jobs)}")
    else:
        refuse_if_live(jobs, found, plan.destination)
    extra = set(stored) - {item.key for item in plan.items}
    return dataclasses.replace(before, same=not found and not extra)
