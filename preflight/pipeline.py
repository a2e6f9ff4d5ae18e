"""The stages in their order, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from preflight.destination import Destination, placeholders
from preflight.diagnosis import Evidence, diagnose
from preflight.errors import UsageError
from preflight.findings import Report, Unavailable, Verdict, WeightType
from preflight.gate import look_before, require_importable
from preflight.importing import Import, Waiting, run_import, studio_client
from preflight.live import Before
from preflight.lock import only_run
from preflight.model.base_config import base_config
from preflight.model.inspection import Inspection, Request, inspect
from preflight.oss.access import CredentialsSource, OssAccess, oss_access
from preflight.oss.client import BucketClient
from preflight.oss.inspector import BucketInspector
from preflight.oss.options import TransferOptions
from preflight.oss.plan import UploadPlan, plan_upload
from preflight.oss.transfer import Manifest
from preflight.oss.verify import stored_manifest, verify
from preflight.record import LeftBehind, RunRecord, UploadedFile, UploadRecord
from preflight.rules import STATIC_RULES
from preflight.rules.policy import Policy
from preflight.screen import Screen
from preflight.sending import (
    Tap,
    Values,
    compared_tower,
    judge,
    refuse_failed,
    scan,
    send,
    settled,
)
from preflight.settings import Need, Settings
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check, against which base, by which rules, and whether to scan."""

    directory: Path
    request: Request
    scan: bool = True
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What to push where; `timeout` and `poll_interval` in seconds.

    `again`: import although a job succeeded; `replace`: write under a prefix that a
    model was imported from; `tag_bucket`: set the tag that an import needs. The
    destination may hold placeholders. `state`: where the lock against a second run on
    this machine is kept; `credentials` reads the keys of OSS anew when they ended.
    """

    check: CheckOptions
    destination: Destination
    display_name: str = ""
    wait: bool = True
    timeout: float = 3600.0
    poll_interval: float | None = None
    dry_run: bool = False
    again: bool = False
    replace: bool = False
    tag_bucket: bool = False
    base_config: bool = True
    transfer: TransferOptions = field(default_factory=TransferOptions)
    state: Path | None = None
    credentials: CredentialsSource | None = None

    @property
    def waiting(self) -> Waiting | None:
        """How to wait for the job; None with --no-wait."""
        return Waiting(self.timeout, self.poll_interval) if self.wait else None


@dataclass(frozen=True, slots=True)
class _Looked:
    """A directory before its upload; `rides`: the scan rides on the transfer."""

    found: Inspection
    sums: Mapping[str, int]
    rides: bool


@dataclass(frozen=True, slots=True)
class _Services:
    """The connections of a push."""

    bucket: BucketClient
    inspector: BucketInspector
    api: ImportApi


def _inspect(options: CheckOptions, record: RunRecord) -> Inspection:
    with record.timed("inspect"):
        found = inspect(options.directory, options.request)
    if isinstance(found.weight_type, WeightType):
        record.weight_type = found.weight_type
    if not isinstance(found.base, Unavailable):
        record.base_model = found.base.code
    with record.timed("rules"):
        policy = options.policy
        record.report = Report(policy.run(STATIC_RULES, found, found.weight_type))
    return found


def check(options: CheckOptions, record: RunRecord, screen: Screen) -> Inspection:
    """Inspect and judge a directory; all findings go into `record.report`.

    Raises `UsageError` when there is no such directory.
    """
    found = _inspect(options, record)
    if options.scan:
        _scan(options, found, record, screen)
    else:
        _unscanned(options, found, record, "not scanned, as --no-scan asks")
    return found


def _scan(
    options: CheckOptions, found: Inspection, record: RunRecord, screen: Screen
) -> Mapping[str, int]:
    """Judge the values now; the CRC-64s of the files that were read."""
    with record.timed("scan"):
        scanned = scan(found, screen)
        tower = compared_tower(found)
        judge(found, record, scanned.values, tower, policy=options.policy)
    return scanned.sums


def _unscanned(
    options: CheckOptions, found: Inspection, record: RunRecord, reason: str
) -> None:
    missing = Unavailable(reason)
    judge(found, record, missing, missing, policy=options.policy)


def _look(options: PushOptions, record: RunRecord, screen: Screen) -> _Looked:
    """Inspect; read the weights only if that must come before the transfer."""
    found = _inspect(options.check, record)
    sums: Mapping[str, int] = {}
    early = options.dry_run or "digest" in placeholders(options.destination.url)
    if not options.check.scan:
        _unscanned(options.check, found, record, "not scanned, as --no-scan asks")
    elif record.report.verdict is Verdict.FAIL and not options.dry_run:
        _unscanned(options.check, found, record, "not scanned, as other rules failed")
    elif early:
        sums = _scan(options.check, found, record, screen)
    refuse_failed(record)
    return _Looked(found, sums, rides=options.check.scan and not early)


def push(
    options: PushOptions, settings: Settings, record: RunRecord, screen: Screen
) -> None:
    """Check, upload, submit, wait; `record` tells at any time how far it came.

    Raises `RulesFailed` before a byte moved, and whatever the stages raise.
    """
    if not options.dry_run:
        settings.require(Need.OSS, Need.STUDIO)
    looked = _look(options, record, screen)
    found = looked.found
    request = _import_request(options, found)
    made = _generated(options, found, record)
    plan = plan_upload(
        found.walk, options.destination, request.weight_type, generated=made
    )
    destination = settled(options.destination, plan, found, looked.sums)
    if destination != options.destination:
        screen.say(f"destination: {destination.url}")
        options = replace(options, destination=destination)
        request = replace(request, prefix=destination.prefix)
        plan = plan_upload(found.walk, destination, request.weight_type, generated=made)
    record.plan = _plan_record(plan)
    if options.dry_run:
        return
    with ExitStack() as stack:
        services = _connect(stack, options, settings)
        with record.timed("bucket"):
            require_importable(
                services.inspector,
                record,
                screen,
                service_region=settings.studio_region,
                tag=options.tag_bucket,
            )
        before = _bring(options, looked, plan, services, record, screen)
        stored = services.inspector.snapshot(destination.prefix)
        contents = before.contents(stored)
        wanted = Import(request, contents, options.waiting, again=options.again)
        _import(options, wanted, settings, services.api, record, screen)


def _connect(stack: ExitStack, options: PushOptions, settings: Settings) -> _Services:
    """The services, closed with the stack; a second run on this machine is refused."""
    destination, access = options.destination, bucket_access(settings)
    if options.state is not None:
        where = f"{settings.endpoint.value} {destination.url}"
        stack.enter_context(only_run(options.state, where))
    bucket = BucketClient(
        access,
        destination.bucket,
        connections=options.transfer.crew + 2,
        credentials=options.credentials,
    )
    inspector = BucketInspector(
        access, destination.bucket, credentials=options.credentials
    )
    return _Services(
        stack.enter_context(bucket),
        stack.enter_context(inspector),
        ImportApi(stack.enter_context(studio_client(settings))),
    )


def _bring(
    options: PushOptions,
    looked: _Looked,
    plan: UploadPlan,
    services: _Services,
    record: RunRecord,
    screen: Screen,
) -> Before:
    """Compare, upload and verify; what was there before."""
    found = looked.found
    tap = Tap(found, plan) if looked.rides else None
    with record.timed("compare"):
        before = look_before(
            plan,
            services.inspector,
            services.api,
            screen,
            replace=options.replace,
            on_block=tap.take if tap else None,
        )
        services.inspector.prove_writable(options.destination.prefix)
    with record.timed("upload"):
        judged = partial(_judge_sent, options.check, found, record)
        if before.same:  # compared byte by byte a moment ago
            screen.say("all files are there already")
            if tap:
                judged(tap.values())
            manifest = stored_manifest(services.bucket, plan)
        else:
            how, bucket = options.transfer, services.bucket
            manifest = send(plan, bucket, screen, options=how, tap=tap, judged=judged)
    record.upload = _upload_record(plan, manifest)
    with record.timed("verify"):
        screen.say(f"verifying {len(manifest.objects)} objects")
        extra = options.transfer.allow_extra
        verify(services.bucket, manifest, allow_extra=extra)
    record.upload = replace(record.upload, verified=True)
    return before


def bucket_access(settings: Settings) -> OssAccess:
    """The keys, region and endpoint of OSS that the settings name."""
    return oss_access(
        settings.access_key_id.value,
        settings.access_key_secret.value,
        security_token=settings.session_token.value,
        region=settings.region.value,
        endpoint=settings.endpoint.value,
    )


def _import_request(options: PushOptions, found: Inspection) -> ImportRequest:
    if isinstance(found.base, Unavailable):
        raise UsageError(
            found.base.reason,
            hint="name the base with --base-model; `preflight bases` lists them",
        )
    if isinstance(found.weight_type, Unavailable):
        raise UsageError(found.weight_type.reason)
    return ImportRequest(
        model_name=found.base.code,
        display_name=options.display_name,
        weight_type=found.weight_type,
        bucket=options.destination.bucket,
        prefix=options.destination.prefix,
    )


def _judge_sent(
    options: CheckOptions, found: Inspection, record: RunRecord, values: Values
) -> None:
    judge(found, record, values, compared_tower(found), policy=options.policy)
    refuse_failed(record)


def _import(
    options: PushOptions,
    wanted: Import,
    settings: Settings,
    api: ImportApi,
    record: RunRecord,
    screen: Screen,
) -> None:
    def why(job: ImportJob) -> list[str]:
        files = record.upload.files if record.upload else ()
        evidence = Evidence(options.destination, wanted.request.weight_type, files)
        access, bucket = bucket_access(settings), options.destination.bucket
        with BucketInspector(access, bucket, credentials=options.credentials) as again:
            region = settings.studio_region
            return diagnose(job, evidence, again, service_region=region)

    run_import(wanted, api, record, screen, why)


def _generated(
    options: PushOptions, found: Inspection, record: RunRecord
) -> dict[str, bytes]:
    """The base's config.json, which no trainer writes beside an adapter."""
    made = base_config(found)
    if isinstance(made, Unavailable) or not options.base_config:
        return {}
    record.notes.append(f"added {made.name}, from {made.origin}")
    return {made.name: made.content}


def _plan_record(plan: UploadPlan) -> UploadRecord:
    files = tuple(UploadedFile(item.key, item.size, 0) for item in plan.items)
    left = tuple(LeftBehind(e.name, e.size, e.reason) for e in plan.excluded)
    return UploadRecord(plan.destination.url, files, left)


def _upload_record(plan: UploadPlan, manifest: Manifest) -> UploadRecord:
    files = tuple(UploadedFile(o.key, o.size, o.crc64) for o in manifest.objects)
    return replace(_plan_record(plan), files=files)
