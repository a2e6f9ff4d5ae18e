"""The examination: this machine, then Model Studio, then the bucket.

A service is not asked when its settings are broken, and asking it ends with the first
call that fails: one cause, one problem.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from preflight.catalog.endpoints import is_loopback
from preflight.catalog.explanations import Service
from preflight.destination import Destination
from preflight.doctor import local
from preflight.doctor.results import Finding, Level, note, of_error, ok, skipped, warn
from preflight.errors import ConfigurationError, PreflightError
from preflight.findings import Severity
from preflight.oss.inspector import BucketInspector
from preflight.oss.preconditions import (
    CLOCK_TOLERANCE,
    TAG_KEY,
    TAG_VALUE,
    BucketIssue,
    check_bucket,
    tag_bucket,
)
from preflight.pipeline.guard import jobs_reading
from preflight.pipeline.services import bucket_access, studio_client
from preflight.settings import Need, Settings
from preflight.studio.imports import ImportApi

_ROLE = (
    "the service-linked role AliyunServiceRoleForSFMDataHubOSSImport cannot be seen "
    "from here: the main account makes it once in the console's import page"
)


@dataclass(frozen=True, slots=True)
class Examination:
    """What to examine; without a destination no bucket is looked at."""

    settings: Settings
    environ: Mapping[str, str]
    destination: Destination | None = None
    fix: bool = False


def examine(visit: Examination) -> list[Finding]:
    """Everything that was found, problems first; changes nothing without `fix`."""
    found = [
        *local.versions(),
        *local.settings_in_order(visit.settings, visit.environ),
        *_through_proxies(visit),
        *_studio(visit),
        *_oss(visit),
    ]
    order = list(Level)
    return sorted(found, key=lambda finding: order.index(finding.level))


def _is_usable(settings: Settings, need: Need) -> bool:
    try:
        settings.require(need)
    except ConfigurationError:
        return False
    return True


def _through_proxies(visit: Examination) -> Iterator[Finding]:
    for told in local.proxies(visit.environ):
        yield ok(f"requests go through a proxy: {told}")


def _failed(visit: Examination, error: PreflightError, service: Service) -> Finding:
    finding = of_error(error, service)
    told = local.proxies(visit.environ)
    local_only = all(
        is_loopback(url.value)
        for url in (visit.settings.endpoint, visit.settings.base_url)
    )
    if "proxy" in error.message and told and not local_only:
        message = f"{error.message} ({'; '.join(told)})"
        return Finding(
            Level.FAIL, message, error.hint, error.request_id, error.exit_code
        )
    return finding


def _studio(visit: Examination) -> Iterator[Finding]:
    if not _is_usable(visit.settings, Need.STUDIO):
        yield skipped("Model Studio was not asked: see its settings")
        return
    try:
        with studio_client(visit.settings) as client:
            api = ImportApi(client)
            page = api.list_page(1, 1)
            yield ok(f"Model Studio accepts the key; it lists {page.total} import jobs")
            yield from _clock(client.clock_ahead)
            yield from _live(visit, api)
    except PreflightError as error:
        yield _failed(visit, error, Service.STUDIO)


def _clock(offset: float | None) -> Iterator[Finding]:
    if offset is None:
        yield skipped("the clock was not compared: the answer has no Date header")
    elif abs(offset) <= CLOCK_TOLERANCE:
        yield ok(f"the clock is right, within {abs(offset) + 1:.0f} s")
    else:
        where = "behind" if offset > 0 else "ahead"
        yield warn(
            f"this machine's clock is {abs(offset):.0f} s {where} that of Model Studio",
            "set the clock (NTP)",
        )


def _live(visit: Examination, api: ImportApi) -> Iterator[Finding]:
    if visit.destination is None:
        return
    for job in jobs_reading(api, visit.destination):
        yield note(
            f"{visit.destination.url} is in use: {job.model_name} came from "
            f"it (job {job.job_id}, {job.status}); an upload may change "
            "nothing there"
        )


def _oss(visit: Examination) -> Iterator[Finding]:
    destination = visit.destination
    if not _is_usable(visit.settings, Need.OSS):
        yield skipped("OSS was not asked: see its settings")
    elif destination is None:
        yield skipped(
            "no bucket was looked at: name one with preflight doctor oss://bucket/prefix/"
        )
    else:
        try:
            access = bucket_access(visit.settings)
            with BucketInspector(access, destination.bucket) as inspector:
                yield from _bucket(visit, destination, inspector)
        except PreflightError as error:
            yield _failed(visit, error, Service.OSS)


def _bucket(
    visit: Examination, destination: Destination, inspector: BucketInspector
) -> Iterator[Finding]:
    if visit.fix and tag_bucket(inspector):
        yield ok(f"tagged {inspector.bucket}: {TAG_KEY} = {TAG_VALUE}")
    region = visit.settings.studio_region
    issues = check_bucket(inspector, service_region=region)
    yield from map(_of_issue, issues)
    if not issues:
        yield ok(f"{inspector.bucket} is tagged, of an importable class and region")
    inspector.prove_writable(destination.prefix)
    yield ok(f"{destination.url} may be written to")
    inspector.snapshot(destination.prefix)
    yield ok(f"{destination.url} may be listed")
    yield skipped(_ROLE)


def _of_issue(issue: BucketIssue) -> Finding:
    if issue.severity is Severity.WARNING:
        return warn(issue.message, issue.hint)
    code = ConfigurationError.exit_code
    return Finding(Level.FAIL, issue.message, issue.hint, exit_code=code)
