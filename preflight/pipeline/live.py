"""Never break a live import: a prefix that a model was imported from is read-only.

The platform watches the objects a model was imported from, and when any of them
changes, the imported model becomes invalid (Model Studio's user guide, "Model import").
So before the first byte goes up the jobs of the prefix are asked for, and when there is
one that did not fail, the upload may change nothing there.

What cannot be seen: an import whose job was deleted from the platform's list, one that
was made in the console without a job, and one that begins while this upload runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from preflight.destination import Destination
from preflight.errors import LivePrefix
from preflight.oss.inspector import Stored
from preflight.studio.jobs import ImportJob
from preflight.studio.submit import Contents
from preflight.upload.compare import Change

_NAMED = 3  # how many changes a message holds


@dataclass(frozen=True, slots=True)
class Before:
    """What was there before the upload: the objects, and the jobs that read them.

    `same`: all files were read, and the objects are these very files.
    """

    stored: Mapping[str, Stored]
    jobs: tuple[ImportJob, ...] = ()
    same: bool = False

    def contents(self, after: Mapping[str, Stored]) -> Contents:
        """What the jobs are to be told by, now that `after` lies there."""
        changed = after != self.stored
        return Contents(
            newest(after),
            frozenset(job.job_id for job in self.jobs) if changed else frozenset(),
        )


def newest(stored: Mapping[str, Stored]) -> datetime | None:
    """When the newest of the objects was written."""
    times = [each.modified for each in stored.values()]
    return datetime.fromtimestamp(max(times), timezone.utc) if times else None


def jobs_reading(
    jobs: Iterable[ImportJob], destination: Destination
) -> tuple[ImportJob, ...]:
    """The jobs that read what lies under the destination, or above it; not failed."""
    return tuple(
        job
        for job in jobs
        if not job.failed
        and job.bucket == destination.bucket
        and destination.prefix.startswith(job.prefix.strip("/") + "/")
    )


def _fresh(destination: Destination) -> str:
    """Another prefix beside the destination, as a template that fills itself."""
    return f"oss://{destination.bucket}/{destination.prefix.rstrip('/')}-{{digest}}/"


def _told(changes: Sequence[Change], prefix: str) -> str:
    told = [
        f"{change.key.removeprefix(prefix)} {change.reason}"
        for change in changes[:_NAMED]
    ]
    more = len(changes) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _named(jobs: Sequence[ImportJob]) -> str:
    return ", ".join(
        f"{job.model_name or 'a model'} (job {job.job_id}, {job.status})"
        for job in jobs
    )


def consequence(jobs: Sequence[ImportJob]) -> str:
    """What writing under the prefix does to the models that came from it."""
    what = "the platform makes an imported model invalid when its files change"
    return f"{what}: {_named(jobs)}"


def refuse_if_live(
    jobs: Sequence[ImportJob], changes: Sequence[Change], destination: Destination
) -> None:
    """Raise `LivePrefix` when the changes would touch files of an import."""
    if not jobs or not changes:
        return
    what = _told(changes, destination.prefix)
    raise LivePrefix(
        f"{destination.url} is in use: other files there would make invalid what was "
        f"imported from it, {_named(jobs)}; nothing was changed; this upload differs: "
        f"{what}",
        hint=f"upload to a fresh prefix such as {_fresh(destination)}, or give "
        "--replace to accept that the model named above stops being valid",
        request_id=jobs[0].request_id,
    )
