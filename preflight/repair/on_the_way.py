"""A push that repairs on its way: repaired bytes go up, the directory stays as it is.

What is made lies in the user's cache for as long as the push runs. The same directory
gives the same bytes, so that a push that was killed goes on with the parts it sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from preflight.errors import UsageError
from preflight.findings import Severity
from preflight.language import glued, say
from preflight.model.source import LocalDirectory
from preflight.observer import Observer
from preflight.pipeline.options import PushOptions
from preflight.pipeline.planned import default_name, directory_names
from preflight.repair.draft import Losses
from preflight.repair.plan import RepairPlan, planned_repair
from preflight.repair.run import repaired_for_now


@contextmanager
def repaired_on_the_way(
    options: PushOptions, losses: Losses, observer: Observer
) -> Iterator[PushOptions]:
    """What to push: a repaired directory, or the given one where nothing is repaired.

    Raises what planning and writing the repair raise, and `UsageError` for one of
    several tasks: each would make files of its own, at another time.
    """
    if options.task is not None:
        raise UsageError(
            say("tasks that share a push cannot repair on the way"),
            hint=say("`preflight fix` makes a repaired copy that all of them can read"),
        )
    plan = planned_repair(options.check, losses)
    if not _may_replace(plan):
        yield options
        return
    for step in plan.steps:
        what = glued(step.repair.name, *(glued(": ", one) for one in step.told[:1]))
        observer.note(say("repaired on the way: {what}", what=what))
    location = options.check.source.location
    name, names = location.name or "model", directory_names(location)
    with repaired_for_now(plan, observer, name) as directory:
        request = replace(options.check.request, weight_type=plan.draft.kind)
        check = replace(
            options.check, source=LocalDirectory(directory), request=request
        )
        # What is made lies elsewhere, and is called what the directory is called.
        yield replace(
            options,
            check=check,
            destination=options.destination.partly(names),
            display_name=options.display_name
            or default_name(location, options.destination),
        )


def _may_replace(plan: RepairPlan) -> bool:
    """Whether what was made may go up in the directory's place.

    Not where trained weights would be left behind: of that the rules tell when they
    see the directory itself.
    """
    hidden = any(one.severity is Severity.ERROR for one in plan.carried)
    return bool(plan.steps and plan.draft.weights) and not hidden
