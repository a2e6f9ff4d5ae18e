"""What a repair did, or would do: a line or two for each step, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from preflight.language import glued, say, say_n
from preflight.record import RunRecord
from preflight.text import shortened

if TYPE_CHECKING:
    from preflight.repair.run import Repaired

_LONGEST = 300  # characters of what a step says
_NAMED = 4  # tensors whose loss is told


def repair_lines(record: RunRecord) -> Iterator[str]:
    """The steps in order, what could not be done, and what was lost."""
    done = record.repaired
    if done is None:
        return
    if not done.plan.steps:
        yield say("nothing was found that a repair could change")
    for step in done.plan.steps:
        flag = f" ({step.repair.flag})" if step.repair.flag else ""
        yield glued(say("repair"), f"  {step.repair.name}{flag}")
        yield from (glued("  ", shortened(line, _LONGEST)) for line in step.told)
    for reason in done.plan.refused:
        yield glued(say("not repaired"), "  ", reason)
    yield from _losses(done)
    if done.written:
        yield say("made {target}", target=done.target)
    if linked := done.filled.linked:
        yield say_n(
            "note  {first}: the same file as in the source, under a second name (a "
            "hard link); edit neither in place",
            "note  {first} and others ({count:,} in all): the same files as in the "
            "source, under a second name (hard links); edit neither in place",
            count=len(linked),
            first=linked[0],
        )


def _losses(done: Repaired) -> Iterator[str]:
    if not done.filled.losses:
        return
    ordered = sorted(done.filled.losses.items(), key=lambda item: -item[1])
    yield say_n(
        "loss  {most} of the norm, in one tensor:",
        "loss  {most} of the norm at most, in {count:,} tensors; the largest first:",
        count=len(ordered),
        most=f"{ordered[0][1]:.3g}",
    )
    for name, loss in ordered[:_NAMED]:
        yield f"  {loss:.3g}  {shortened(name, 90)}"


def repair_document(done: Repaired) -> dict[str, Any]:
    """The same for programs."""
    return {
        "source": str(done.plan.source),
        "target": None if done.target is None else str(done.target),
        "written": done.written,
        "steps": [
            {
                "name": step.repair.name,
                "codes": list(step.repair.codes),
                "about": step.repair.about,
                "lossless": step.repair.is_lossless,
                "told": list(step.told),
            }
            for step in done.plan.steps
        ],
        "refused": list(done.plan.refused),
        "losses": dict(done.filled.losses),
        "hard_links": list(done.filled.linked),
    }
