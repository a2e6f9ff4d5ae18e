"""Wait for several jobs at once: a look is at all of them, not at one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from preflight.clock import Clock
from preflight.errors import PreflightError, ServiceUnavailable
from preflight.retry import Transient
from preflight.studio.imports import ImportApi, ImportJob
from preflight.studio.models import NotFound
from preflight.studio.wait import (
    LISTED_WITHIN,
    looks_within,
    shortest_pause,
    still_running,
)

_FEW = 3  # jobs that are asked for one by one: the lists would be as many requests
_LISTED = ("RUNNING", "PENDING")

End = ImportJob | PreflightError
"""A job at its end, or why that is not known."""


def ends(
    api: ImportApi,
    jobs: Iterable[ImportJob],
    *,
    limit: float,
    clock: Clock,
    interval: float | None = None,
    on_look: Callable[[ImportJob], None] = lambda _: None,
) -> Iterator[tuple[str, End]]:
    """Id and end of each job as it comes, all within `limit` seconds.

    A job that is still running then ends with `StillRunning`, and one that is not there
    with `NotFound`. `on_look` is told of each job at each look. A look that fails with
    `ServiceUnavailable` is followed by the next one; what else the API raises is
    raised.
    """
    looks = looks_within(limit, clock, interval, shortest_pause(api))
    going = {job.job_id: job for job in jobs}
    began, number = clock.now(), 0
    while going:
        is_new = clock.now() - began < LISTED_WITHIN
        found, trouble = _look(api, going, is_new=is_new)
        for job_id, seen in found.items():
            if isinstance(seen, ImportJob):
                on_look(seen)
                if not seen.finished:
                    going[job_id] = seen
                    continue
            del going[job_id]
            yield job_id, seen
        if not going:
            return
        number += 1
        asked = trouble.wait if isinstance(trouble, Transient) else 0.0
        pause = looks.pause(number, asked)
        if pause is None:
            for job_id, job in going.items():
                yield job_id, still_running(job, job_id, limit, trouble)
            return
        clock.sleep(pause)


def _look(
    api: ImportApi, going: Mapping[str, ImportJob], *, is_new: bool
) -> tuple[dict[str, End], ServiceUnavailable | None]:
    """What is known of the jobs now, and what kept the rest from being known.

    The lists hold those that go on, a hundred in a request. What is in none of them has
    ended, or is in a state that they do not know, and is asked for itself.
    """
    found: dict[str, End] = {}
    try:
        if len(going) > _FEW:
            for status in _LISTED:
                listed = api.list_all(status=status)
                found |= {job.job_id: job for job in listed if job.job_id in going}
        for job_id in going:
            if job_id not in found:
                try:
                    found[job_id] = api.get(job_id, attempts=1)
                except NotFound as error:  # one that was just made may not be known yet
                    if not is_new:
                        found[job_id] = error
    except ServiceUnavailable as error:
        return found, error
    return found, None
