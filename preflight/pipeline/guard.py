"""What is settled before the first byte goes up: the bucket, and what lives there.

Never break a live import: a prefix that a model was imported from is read-only. The
platform watches the objects a model was imported from, and when any of them changes,
the imported model becomes invalid (Model Studio's user guide, "Model import"). So
before the first byte goes up the jobs of the prefix are asked for, and when there is
one that may have made a model, the upload may change nothing there.

What cannot be seen: an import whose job was deleted from the platform's list, one that
was made in the console without a job, and one that begins while this upload runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from preflight.destination import Destination
from preflight.errors import ConfigurationError, LivePrefix
from preflight.findings import Severity
from preflight.language import glued, joined, say, say_n
from preflight.observer import Observer
from preflight.oss.body import OnBlock
from preflight.oss.inspector import BucketInspector, Stored
from preflight.oss.models import PendingUpload
from preflight.oss.preconditions import TAG_KEY, TAG_VALUE, check_bucket, tag_bucket
from preflight.pipeline.services import Services
from preflight.studio.imports import ImportApi
from preflight.studio.jobs import ImportJob
from preflight.studio.submit import Contents
from preflight.together import Asked
from preflight.upload.compare import Change, compare
from preflight.upload.plan import UploadPlan

_NAMED = 3  # how many changes a message holds


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before the upload: the objects, and the jobs that read them.

    `same`: all files were read, and the objects are these very files.
    """

    stored: Mapping[str, Stored]
    jobs: tuple[ImportJob, ...] = ()
    same: bool = False

    def contents(
        self, after: Mapping[str, Stored], oss_ahead: float | None
    ) -> Contents:
        """What the jobs are to be told by, now that `after` lies there.

        `oss_ahead`: seconds that the clock of OSS is ahead of ours, if known.
        """
        # Any change counts, whoever made it: the platform watches the objects, not us.
        changed = after != self.stored
        return Contents(
            newest(after),
            frozenset(job.job_id for job in self.jobs) if changed else frozenset(),
            oss_ahead,
        )


def require_importable(
    bucket: BucketInspector, observer: Observer, *, region: str, tag: bool = False
) -> None:
    """Raise `ConfigurationError` for a bucket that no import can read.

    `region` is that of Model Studio, if known. `tag` sets the tag that an import
    needs first; other tags stay.
    """
    with observer.stage("bucket"):
        if tag and tag_bucket(bucket):
            observer.say(
                say(
                    "tagged {bucket}: {tag_key} = {tag_value}",
                    bucket=bucket.bucket,
                    tag_key=TAG_KEY,
                    tag_value=TAG_VALUE,
                )
            )
        issues = check_bucket(bucket, service_region=region)
    for issue in issues:
        if issue.severity is Severity.WARNING:
            # Said now, while it can still be stopped, and noted for the end, as hours
            # of output may lie between.
            observer.say(say("warning: {message}", message=issue.message))
            observer.note(say("warning: {message}", message=issue.message))
    wrong = [issue for issue in issues if issue.severity is Severity.ERROR]
    if wrong:
        raise ConfigurationError(
            joined("; ", [issue.message for issue in wrong]),
            hint=joined("; ", [issue.hint for issue in wrong if issue.hint]),
        )


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked while the bucket is looked at; each answer is waited for later."""

    jobs: Asked[tuple[ImportJob, ...]]
    stored: Asked[Mapping[str, Stored]]
    probe: Asked[PendingUpload | None]

    @classmethod
    def ask(cls, services: Services, destination: Destination) -> Questions:
        """Who reads from the destination, what lies there, what a killed run left."""
        bucket, prefix = services.bucket, destination.prefix
        # Three questions that take the time of the slowest.
        return cls(
            Asked(lambda: jobs_reading(services.api, destination)),
            Asked(lambda: bucket.snapshot(prefix)),
            Asked(lambda: bucket.may_probe(prefix)),
        )


def look_before(
    plan: UploadPlan,
    services: Services,
    observer: Observer,
    asked: Questions,
    *,
    may_replace: bool,
    on_block: OnBlock | None = None,
) -> Before:
    """What lies under the destination, and the jobs that read it.

    When files must be read for it, `on_block` sees their bytes. Raises `LivePrefix`
    when the upload would change files of an import, unless `may_replace`; nothing was
    changed then.
    """
    jobs, stored = asked.jobs.result(), asked.stored.result()
    before = Before(stored, jobs)
    # Nothing was imported from there: no file needs to be read to know that it may
    # change.
    if not jobs:
        return before
    found = _changes(plan, stored, services.bucket, observer, on_block)
    # Where nothing changes there is nothing to replace, and nothing to warn of.
    if may_replace and found:
        observer.say(
            say(
                "warning: --replace was given: {consequence}",
                consequence=consequence(jobs),
            )
        )
    else:
        refuse_if_live(jobs, found, plan.destination)
    # Strangers are the transfer's to refuse, as it knows whether they are allowed.
    extra = set(stored) - {item.key for item in plan.items}
    return replace(before, same=not found and not extra)


def _changes(
    plan: UploadPlan,
    stored: Mapping[str, Stored],
    bucket: BucketInspector,
    observer: Observer,
    on_block: OnBlock | None,
) -> list[Change]:
    with observer.progress() as progress:
        progress.start(plan.total_bytes, "comparing")
        return list(compare(plan, stored, bucket, progress=progress, on_block=on_block))


def newest(stored: Mapping[str, Stored]) -> datetime | None:
    """When the newest of the objects was written."""
    times = [each.modified for each in stored.values()]
    return datetime.fromtimestamp(max(times), timezone.utc) if times else None


def jobs_reading(api: ImportApi, destination: Destination) -> tuple[ImportJob, ...]:
    """The jobs that read what lies under the destination, or above it.

    Not those that ended without a model: nothing can be broken there any more.
    """
    # With a slash at the end: `models/one` is no part of `models/one-more`.
    found = [
        job
        for job in api.list_all()
        if job.bucket == destination.bucket
        and destination.prefix.startswith(job.prefix.strip("/") + "/")
    ]
    # The service's clock, by which its jobs are dated; ours may be wrong.
    now = api.now()
    return tuple(job for job in found if job.succeeded or job.may_go_on(now))


def _fresh(destination: Destination) -> str:
    """Another prefix beside the destination, as a template that fills itself."""
    return f"oss://{destination.bucket}/{destination.prefix.rstrip('/')}-{{digest}}/"


def _told(changes: Sequence[Change], prefix: str) -> str:
    told = [glued(each.key.removeprefix(prefix), " ", each.reason) for each in changes]
    named, more = joined(", ", told[:_NAMED]), len(told) - _NAMED
    return say("{named} and {more} more", named=named, more=more) if more > 0 else named


def _named(jobs: Sequence[ImportJob]) -> str:
    told = [
        say(
            "{model} (job {job_id}, {state})",
            model=job.model_name or say("a model"),
            job_id=job.job_id,
            state=job.told,
        )
        for job in jobs
    ]
    return joined(", ", told)


def _reading(jobs: Sequence[ImportJob], url: str) -> Iterator[str]:
    """Which models came from the prefix, and which jobs are still reading it."""
    models = [job.model_name for job in jobs if job.succeeded and job.model_name]
    others = [job for job in jobs if not (job.succeeded and job.model_name)]
    if models:
        yield say_n(
            "model {names} was imported from {url} and would become invalid",
            "models {names} were imported from {url} and would become invalid",
            count=len(models),
            names=", ".join(models),
            url=url,
        )
    for job in others:
        yield say(
            "job {job} ({state}) is importing from {url} and would be spoilt",
            job=job.job_id,
            state=job.told,
            url=url,
        )


def consequence(jobs: Sequence[ImportJob]) -> str:
    """What writing under the prefix does to the models that came from it."""
    what = say("the platform makes an imported model invalid when its files change")
    return glued(what, ": ", _named(jobs))


def refuse_if_live(
    jobs: Sequence[ImportJob], changes: Sequence[Change], destination: Destination
) -> None:
    """Raise `LivePrefix` when the changes would touch files of an import."""
    if not jobs or not changes:
        return
    what = _told(changes, destination.prefix)
    raise LivePrefix(
        say(
            "not uploaded: {reading}. Changed: {what}",
            reading=joined("; ", tuple(_reading(jobs, destination.url))),
            what=what,
        ),
        hint=say(
            "upload to a fresh prefix such as {url}, or give --replace to accept that "
            "the model stops being valid",
            url=_fresh(destination),
        ),
        request_id=jobs[0].request_id,
    )
