"""The stages of a push in their order, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from preflight.destination import Destination, placeholders
from preflight.errors import UsageError
from preflight.findings import Unavailable, Verdict
from preflight.model.base_config import base_config
from preflight.model.inspection import Inspection
from preflight.oss.inspector import BucketInspector
from preflight.pipeline.checking import NOT_ASKED, Check
from preflight.pipeline.connecting import Services, bucket_access, connect
from preflight.pipeline.diagnosis import Evidence, diagnose
from preflight.pipeline.gate import look_before, require_importable
from preflight.pipeline.importing import Import, run_import
from preflight.pipeline.live import Before
from preflight.pipeline.naming import settled
from preflight.pipeline.options import PushOptions
from preflight.pipeline.sending import Sent, Tap, send
from preflight.record import LeftBehind, RunRecord, UploadedFile, UploadRecord
from preflight.screen import Screen
from preflight.settings import Need, Settings
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest
from preflight.upload.plan import UploadPlan, plan_upload
from preflight.upload.transfer import Manifest
from preflight.upload.verify import stored_manifest, verify


class Push:
    """One push as it goes on; `record` tells at any time how far it came."""

    def __init__(
        self,
        options: PushOptions,
        settings: Settings,
        record: RunRecord,
        screen: Screen,
    ) -> None:
        self.options = options
        self.settings = settings
        self.record = record
        self.screen = screen

    def run(self) -> None:
        """All stages in order; raises whatever they raise."""
        if not self.options.dry_run:
            self.settings.require(Need.OSS, Need.STUDIO)
        examined, sums, rides = self._examine()
        request = self._request(examined.found)
        plan = self._plan(examined.found, request, sums)
        request = replace(request, prefix=plan.destination.prefix)
        if self.options.dry_run:
            return
        with ExitStack() as stack:
            services = connect(stack, self.options, self.settings)
            self._require_importable(services)
            before = self._bring(plan, services, examined, rides=rides)
            stored = services.inspector.snapshot(plan.destination.prefix)
            waiting, again = self.options.waiting, self.options.again
            wanted = Import(request, before.contents(stored), waiting, again=again)
            self._import(wanted, services.api)

    def _examine(self) -> tuple[Check, Mapping[str, int], bool]:
        """The check, the CRC-64s already known, and whether the scan is still due.

        The weights are read now only if something needs it; else the scan rides on
        the transfer.
        """
        options = self.options
        examined = Check(options.check, self.record)
        sums: Mapping[str, int] = {}
        early = options.dry_run or "digest" in placeholders(options.destination.url)
        if not options.check.scan:
            examined.skip_scan(NOT_ASKED)
        elif self.record.report.verdict is Verdict.FAIL and not options.dry_run:
            examined.skip_scan("not scanned, as other rules failed")
        elif early:
            sums = examined.scan(self.screen)
        examined.refuse_failed()
        return examined, sums, options.check.scan and not early

    def _request(self, found: Inspection) -> ImportRequest:
        if isinstance(found.base, Unavailable):
            raise UsageError(
                found.base.reason,
                hint="name the base with --base-model; `preflight bases` lists them",
            )
        if isinstance(found.weight_type, Unavailable):
            raise UsageError(found.weight_type.reason)
        return ImportRequest(
            model_name=found.base.code,
            display_name=self.options.display_name,
            weight_type=found.weight_type,
            bucket=self.options.destination.bucket,
            prefix=self.options.destination.prefix,
        )

    def _plan(
        self, found: Inspection, request: ImportRequest, sums: Mapping[str, int]
    ) -> UploadPlan:
        made = self._generated(found)

        def planned(destination: Destination) -> UploadPlan:
            kind = request.weight_type
            return plan_upload(found.walk, destination, kind, generated=made)

        plan = planned(self.options.destination)
        destination = settled(self.options.destination, plan, found, sums)
        if destination != self.options.destination:
            self.screen.say(f"destination: {destination.url}")
            self.options = replace(self.options, destination=destination)
            plan = planned(destination)
        self.record.plan = planned_record(plan)
        return plan

    def _generated(self, found: Inspection) -> dict[str, bytes]:
        """The base's config.json, which no trainer writes beside an adapter."""
        made = base_config(found)
        if isinstance(made, Unavailable) or not self.options.base_config:
            return {}
        self.record.notes.append(f"added {made.name}, from {made.origin}")
        return {made.name: made.content}

    def _require_importable(self, services: Services) -> None:
        with self.record.timed("bucket"):
            require_importable(
                services.inspector,
                self.record,
                self.screen,
                service_region=self.settings.studio_region,
                tag=self.options.tag_bucket,
            )

    def _bring(
        self, plan: UploadPlan, services: Services, examined: Check, *, rides: bool
    ) -> Before:
        """Compare, upload and verify; what was there before."""
        tap = Tap(examined.found, plan) if rides else None

        def judge() -> None:
            if tap:
                examined.judge(tap.values())
                examined.refuse_failed()

        with self.record.timed("compare"):
            before = look_before(
                plan,
                services.inspector,
                services.api,
                self.screen,
                replace=self.options.replace,
                on_block=tap.take if tap else None,
            )
            if not before.same:  # else nothing will be written
                services.inspector.prove_writable(plan.destination.prefix)
        with self.record.timed("upload"):
            if before.same:  # compared byte by byte a moment ago
                self.screen.say("all files are there already; nothing is sent")
                judge()
                sent = Sent(stored_manifest(services.bucket, plan))
            else:
                how, bucket, screen = (
                    self.options.transfer,
                    services.bucket,
                    self.screen,
                )
                sent = send(plan, bucket, screen, how, tap=tap, judge=judge)
        self._verify(plan, sent, services)
        return before

    def _verify(self, plan: UploadPlan, sent: Sent, services: Services) -> None:
        manifest = sent.manifest
        uploaded = uploaded_record(plan, manifest, sent.size)
        self.record.upload = uploaded
        with self.record.timed("verify"):
            self.screen.say(f"verifying {len(manifest.objects)} objects")
            extra = self.options.transfer.allow_extra
            verify(services.bucket, manifest, allow_extra=extra)
        self.record.upload = replace(uploaded, verified=True)

    def _import(self, wanted: Import, api: ImportApi) -> None:
        options, settings = self.options, self.settings
        destination, keys = options.destination, options.credentials

        def why(job: ImportJob) -> list[str]:
            files = self.record.upload.files if self.record.upload else ()
            evidence = Evidence(destination, wanted.request.weight_type, files)
            access = bucket_access(settings)
            with BucketInspector(access, destination.bucket, credentials=keys) as again:
                region = settings.studio_region
                return diagnose(job, evidence, again, service_region=region)

        run_import(wanted, api, self.record, self.screen, why)


def push(
    options: PushOptions, settings: Settings, record: RunRecord, screen: Screen
) -> None:
    """Check, upload, submit, wait.

    Raises `RulesFailed` before anything became visible, and what the stages raise.
    """
    Push(options, settings, record, screen).run()


def planned_record(plan: UploadPlan) -> UploadRecord:
    """What would go up, for the record; no CRC-64 is known yet."""
    files = tuple(UploadedFile(item.key, item.size, 0) for item in plan.items)
    left = tuple(LeftBehind(e.name, e.size, e.reason) for e in plan.excluded)
    made = tuple(item.key for item in plan.items if isinstance(item.source, bytes))
    return UploadRecord(plan.destination.url, files, left, made)


def uploaded_record(plan: UploadPlan, manifest: Manifest, sent: int) -> UploadRecord:
    """What lies there now, for the record; `sent` in bytes, by this run."""
    files = tuple(UploadedFile(o.key, o.size, o.crc64) for o in manifest.objects)
    return replace(planned_record(plan), files=files, sent=sent)
