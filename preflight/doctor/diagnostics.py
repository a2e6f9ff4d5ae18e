"""The examination: this machine, then Model Studio, then the bucket.

A service is not asked when its settings are broken, and asking it ends with the first
call that fails for another reason than a lacking permission: one cause, one problem.
Of the bucket every kind of call is tried that a push makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from preflight.catalog.explanations import Service
from preflight.destination import Destination
from preflight.doctor import local
from preflight.doctor.results import Finding, Level, note, of_error, ok, skipped, warn
from preflight.errors import ConfigurationError, PreflightError
from preflight.findings import Severity
from preflight.language import glued, say, say_n
from preflight.oss.errors import Missing, PermissionMissing
from preflight.oss.inspector import NO_UPLOAD, BucketInspector, probe_key
from preflight.oss.preconditions import (
    CLOCK_TOLERANCE,
    TAG_KEY,
    TAG_VALUE,
    BucketIssue,
    check_bucket,
    tag_bucket,
)
from preflight.pipeline.guard import jobs_reading
from preflight.pipeline.services import bucket_access
from preflight.retry import Retry
from preflight.settings import Need, Settings
from preflight.studio.client import StudioClient
from preflight.studio.imports import ImportApi

FIX_FIRST = say("fix the settings above first")
# Somebody waits for the answer: what does not come soon is a finding itself.
_TIMEOUT = (4.0, 15.0)  # seconds to connect, seconds between two pieces of an answer
_ROLE = say(
    "the service-linked role "
    "AliyunServiceRoleForSFMDataHubOSSImport cannot be seen from "
    "here: the main account makes it once in the console's import "
    "page"
)


@dataclass(frozen=True, slots=True)
class Examination:
    """What to examine; without a destination no bucket is looked at."""

    settings: Settings
    environ: Mapping[str, str]
    destination: Destination | None = None
    fix: bool = False


def examine(wanted: Examination) -> list[Finding]:
    """Everything that was found, problems first; changes nothing without `fix`."""
    found = [
        *local.versions(),
        *local.settings_in_order(wanted.settings, wanted.environ),
        *_ways(wanted.settings),
        *_studio(wanted),
        *_oss(wanted),
    ]
    order = list(Level)
    return sorted(found, key=lambda finding: order.index(finding.level))


def _is_usable(settings: Settings, need: Need) -> bool:
    try:
        settings.require(need)
    except ConfigurationError:
        return False
    return True


_NAMES = {Need.OSS: "OSS", Need.STUDIO: say("Model Studio")}


def _ways(settings: Settings) -> Iterator[Finding]:
    for need, way in settings.ways.items():
        yield ok(
            say(
                "{service} is reached through a proxy: {way}",
                service=_NAMES[need],
                way=way,
            )
        )


def _failed(wanted: Examination, error: PreflightError, need: Need) -> Finding:
    service = Service.OSS if need is Need.OSS else Service.STUDIO
    finding = of_error(error, service)
    way = wanted.settings.ways.get(need)
    if way and "proxy" in error.message:
        return replace(finding, message=glued(finding.message, " (", way, ")"))
    return finding


def _quickly() -> Retry:
    return Retry(attempts=2)


def _studio(wanted: Examination) -> Iterator[Finding]:
    settings = wanted.settings
    if not _is_usable(settings, Need.STUDIO):
        yield skipped(
            say("Model Studio was not asked: {fix_first}", fix_first=FIX_FIRST)
        )
        return
    client = StudioClient(
        settings.base_url.value,
        settings.api_key.value,
        timeout=_TIMEOUT,
        retry=_quickly(),
    )
    try:
        with client:
            api = ImportApi(client)
            page = api.list_page(1, 1)
            yield ok(
                say_n(
                    "Model Studio accepts the key; it lists {count} import job",
                    "Model Studio accepts the key; it lists {count:,} import jobs",
                    count=page.total,
                )
            )
            yield from _clock(client.clock_ahead)
            yield from _live(wanted, api)
    except PreflightError as error:
        yield _failed(wanted, error, Need.STUDIO)


def _clock(ahead: float | None) -> Iterator[Finding]:
    if ahead is None:
        yield skipped(say("the clock was not compared: the answer has no Date header"))
    elif abs(ahead) <= CLOCK_TOLERANCE:
        yield ok(say("the clock is right, within {ahead:.0f} s", ahead=abs(ahead) + 1))
    else:
        seconds = abs(ahead)
        told = say(
            "this machine's clock is {seconds:.0f} s ahead that of Model Studio",
            seconds=seconds,
        )
        if ahead > 0:
            told = say(
                "this machine's clock is {seconds:.0f} s behind that of Model Studio",
                seconds=seconds,
            )
        yield warn(told, say("set the clock (NTP)"))


def _live(wanted: Examination, api: ImportApi) -> Iterator[Finding]:
    if wanted.destination is None:
        return
    for job in jobs_reading(api, wanted.destination):
        what = say("job {id}", id=job.job_id)
        if job.model_name:
            what = say("model {name}", name=job.model_name)
        yield note(
            say(
                "{url} is in use: {what} ({state}) came from it; an upload may change "
                "nothing there",
                url=wanted.destination.url,
                what=what,
                state=job.told,
            )
        )


def _oss(wanted: Examination) -> Iterator[Finding]:
    destination = wanted.destination
    if not _is_usable(wanted.settings, Need.OSS):
        yield skipped(say("OSS was not asked: {fix_first}", fix_first=FIX_FIRST))
    elif destination is None:
        yield skipped(
            say(
                "no bucket was looked at: name one with preflight doctor "
                "oss://bucket/prefix/"
            )
        )
    else:
        try:
            access = bucket_access(wanted.settings)
            with BucketInspector(
                access, destination.bucket, timeout=_TIMEOUT, retry=_quickly()
            ) as inspector:
                yield from _bucket(wanted, destination, inspector)
        except PreflightError as error:
            yield _failed(wanted, error, Need.OSS)


def _bucket(
    wanted: Examination, destination: Destination, inspector: BucketInspector
) -> Iterator[Finding]:
    if wanted.fix and tag_bucket(inspector):
        yield ok(
            say(
                "tagged {bucket}: {tag_key} = {tag_value}",
                bucket=inspector.bucket,
                tag_key=TAG_KEY,
                tag_value=TAG_VALUE,
            )
        )
    region = wanted.settings.studio_region
    issues = check_bucket(inspector, service_region=region)
    yield from map(_of_issue, issues)
    if not issues:
        yield ok(
            say(
                "{bucket} is tagged, of an importable class and region",
                bucket=inspector.bucket,
            )
        )
    for told, look in _looks(inspector, destination):
        try:
            look()
        # The other permissions may be lacking, too.
        except PermissionMissing as error:  # noqa: PERF203
            yield _failed(wanted, error, Need.OSS)
        else:
            yield ok(glued(destination.url, " ", told))
    yield skipped(_ROLE)


def _looks(
    inspector: BucketInspector, destination: Destination
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each kind of call that a push makes below the prefix, once; all are undone."""
    prefix = destination.prefix
    yield say("may be listed"), lambda: next(inspector.list_objects(prefix), None)
    yield (
        say("may be asked for uploads"),
        lambda: next(inspector.list_uploads(prefix), None),
    )
    probe = _Probe(inspector, prefix)
    try:
        yield say("may be written to"), probe.begin
        yield say("may be read from"), lambda: inspector.head(probe.key)
        yield say("may be asked for parts"), probe.list_parts
        yield say("may be cleaned up"), probe.end
    finally:  # a look that failed otherwise ends them all
        probe.drop()


class _Probe:
    """An upload that is begun and aborted, or where it may not be, none at all."""

    def __init__(self, inspector: BucketInspector, prefix: str) -> None:
        self._inspector, self._prefix = inspector, prefix
        self.key, self._id = probe_key(prefix), ""

    def begin(self) -> None:
        """Raises `PermissionMissing` where nothing may be written."""
        try:
            self._inspector.prove_abortable(self._prefix)
        except PermissionMissing:  # told at the end: what is begun now would stay
            self._inspector.prove_sendable(self._prefix)
        else:
            self.key, self._id = self._inspector.begin_probe(
                self._prefix, self._inspector.left_probe(self._prefix)
            )

    def list_parts(self) -> None:
        """Raises `PermissionMissing` where parts may not be listed."""
        with suppress(Missing):  # there is none where it could not be begun
            next(self._inspector.list_parts(self.key, self._id or NO_UPLOAD), None)

    def drop(self) -> None:
        """Abort what is still there, whatever comes of that."""
        if self._id:
            with suppress(PreflightError):
                self.end()

    def end(self) -> None:
        """Raises `PermissionMissing` where uploads may not be aborted."""
        upload_id, self._id = self._id, ""
        self._inspector.abort(self.key, upload_id or NO_UPLOAD)


def _of_issue(issue: BucketIssue) -> Finding:
    if issue.severity is Severity.WARNING:
        return warn(issue.message, issue.hint)
    code = ConfigurationError.exit_code
    return Finding(Level.FAIL, issue.message, issue.hint, exit_code=code)
