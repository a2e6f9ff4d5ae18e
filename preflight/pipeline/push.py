"""The whole way: check, plan, upload, import; each stage a value made of the last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace

from preflight.findings import Verdict
from preflight.language import say
from preflight.lock import only_run
from preflight.observer import Observer
from preflight.pipeline.checked import (
    Checked,
    inspected,
    judged,
    require_passed,
    scanned,
    unscanned,
)
from preflight.pipeline.diagnosis import Evidence, diagnose
from preflight.pipeline.guard import (
    Before,
    Questions,
    look_before,
    require_importable,
)
from preflight.pipeline.imported import (
    Diagnose,
    Imported,
    concluded,
    finished,
    submitted,
)
from preflight.pipeline.options import PushOptions
from preflight.pipeline.planned import Planned, planned
from preflight.pipeline.services import Services, connected
from preflight.pipeline.shared import (
    Brought,
    Share,
    helped,
    nothing_to_bring,
    published_together,
)
from preflight.pipeline.uploaded import Tap, Uploaded, found_there, uploaded
from preflight.settings import Need, Settings
from preflight.studio.imports import ImportJob
from preflight.tasks import Task
from preflight.together import AT_ONCE


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push came to; of a dry run only the plan, without an import no job.

    `share`: what a task brought of which another one publishes.
    """

    checked: Checked
    planned: Planned
    uploaded: Uploaded | None = None
    imported: Imported | None = None
    share: Brought | None = None


def push(options: PushOptions, settings: Settings, observer: Observer) -> Pushed:
    """Check, upload, submit, wait.

    Raises `RulesFailed` before anything became visible, and what the stages raise.
    """
    # A missing key is told now, not after gigabytes were read.
    if not options.dry_run:
        settings.require(Need.OSS, Need.STUDIO)
    ready = prepared(options, observer)
    if options.dry_run:
        return ready
    with opened(options, ready.planned, settings, observer) as services:
        done = brought(options, ready, services, observer)
        if done.imported is None:
            return done
        waiting = options.waiting
        seen = finished(done.imported, waiting, services.api, observer)
        return replace(
            done, imported=concluded(seen, observer, reasons(done, services))
        )


def prepared(options: PushOptions, observer: Observer) -> Pushed:
    """Check and plan: nothing of it touches a network.

    The values are judged later, in the bytes on their way, unless something needs them
    now.
    """
    checked = _examined(options, observer)
    return Pushed(checked, planned(options, checked, observer))


@contextmanager
def opened(
    options: PushOptions, plan: Planned, settings: Settings, observer: Observer
) -> Iterator[Services]:
    """The services of one push, which no other on this machine disturbs meanwhile."""
    destination = plan.plan.destination
    with ExitStack() as stack:
        if options.state is not None:
            # By where it goes, not by what goes there: copies of one model would meet,
            # too.
            where = f"{settings.endpoint.value} {destination.url}"
            if (task := options.task) is not None and not task.publishes:
                where += f" task {task.rank}"  # several may be on one machine
            stack.enter_context(only_run(options.state, where))
        yield stack.enter_context(
            connected(
                settings,
                destination,
                observer=observer,
                patience=options.transfer.patience,
                connections=max(options.transfer.most_workers, AT_ONCE) + 2,
                credentials=options.credentials,
            )
        )


def brought(
    options: PushOptions,
    ready: Pushed,
    services: Services,
    observer: Observer,
    turn: AbstractContextManager[object] | None = None,
) -> Pushed:
    """Upload, verify and submit.

    `turn` is held while the job is submitted: of many pushes one at a time does.
    """
    plan = ready.planned
    # Begun here and waited for later: none of the answers is needed for another
    # question.
    asked = Questions.ask(services, plan.plan.destination)
    require_importable(
        services.bucket, observer, region=services.region, tag=options.tag_bucket
    )
    if options.task is not None and not options.task.publishes:
        share = _helped(options, ready, services, observer, asked)
        return replace(ready, share=share)
    there, before = _brought(options, ready.checked, plan, services, observer, asked)
    done = replace(ready, uploaded=there)
    if not options.imports:
        return done
    with turn or nullcontext():
        seen = _submitted(options, plan, before, services, observer)
    return replace(done, imported=seen)


def _examined(options: PushOptions, observer: Observer) -> Checked:
    """The check; the values wait for the transfer unless something needs them now."""
    checked = inspected(options.check, observer)
    if not options.check.scan:
        checked = unscanned(checked, say("not scanned, as --no-scan asks"), observer)
    elif checked.report.verdict is Verdict.FAIL and not options.dry_run:
        # Nothing will go up: to read all weights would only delay the bad news.
        checked = unscanned(
            checked, say("not scanned, as other rules failed"), observer
        )
    elif (
        options.dry_run
        or options.judge_first
        or "digest" in options.destination.placeholders
    ):
        # Here no transfer follows in whose bytes they could be judged, or not soon
        # enough.
        checked = scanned(checked, observer)
    require_passed(checked)
    return checked


def _brought(
    options: PushOptions,
    checked: Checked,
    plan: Planned,
    services: Services,
    observer: Observer,
    asked: Questions,
) -> tuple[Uploaded, Before]:
    """Compare, upload and verify; what lies there, and what did before."""
    with ExitStack() as stack:
        stack.enter_context(observer.stage("compare"))
        tap = stack.enter_context(Tap(checked, plan.plan)) if checked.due else None
        # Files that are compared are read for it: their values are scanned on that
        # occasion.
        before = look_before(
            plan.plan,
            services,
            observer,
            asked,
            may_replace=options.replace,
            on_block=tap.take if tap else None,
        )
        if before.same:
            # All bytes were read to compare them: judge them before anything else.
            if tap is not None:
                require_passed(judged(checked, tap.seen(), observer))
        else:  # a push that writes nothing needs no permission to write
            prefix = plan.plan.destination.prefix
            services.bucket.prove_writable(prefix, asked.probe.result())
    how, bucket = options.transfer, services.bucket
    if before.same:
        return found_there(plan.plan, bucket, how, observer), before
    if options.task is not None:
        share = Share(plan.plan, checked, options.task)
        return published_together(share, bucket, how, observer), before
    return uploaded(plan.plan, checked, bucket, how, observer), before


def _helped(
    options: PushOptions,
    ready: Pushed,
    services: Services,
    observer: Observer,
    asked: Questions,
) -> Brought:
    """What a task does that does not publish; it refuses what the publishing one would.

    It puts nothing in the bucket that is visible.
    """
    plan = ready.planned.plan
    with observer.stage("compare"):
        before = look_before(
            plan, services, observer, asked, may_replace=options.replace
        )
    share = Share(plan, ready.checked, options.task or Task(0, 1))
    if before.same:  # the publishing task finds the same, and waits for nobody
        return nothing_to_bring(share, observer)
    return helped(share, services.bucket, options.transfer, observer)


def _submitted(
    options: PushOptions,
    plan: Planned,
    before: Before,
    services: Services,
    observer: Observer,
) -> Imported:
    # Listed again, not computed: others may have written there, too.
    after = services.bucket.snapshot(plan.plan.destination.prefix)
    contents = before.contents(after, services.bucket.clock_ahead)
    return submitted(
        plan.request,
        contents,
        services.api,
        observer,
        again=options.again,
        patience=options.transfer.patience,
    )


def reasons(done: Pushed, services: Services) -> Diagnose:
    """What finds out why the job of an upload failed."""
    there, plan = done.uploaded, done.planned
    objects = there.manifest.objects if there is not None else ()
    evidence = Evidence(plan.plan.destination, plan.request.weight_type, objects)

    def why(job: ImportJob) -> list[str]:
        return diagnose(
            job,
            evidence,
            services.bucket,
            service_region=services.region,
            studio_ahead=services.api.clock_ahead,
        )

    return why
