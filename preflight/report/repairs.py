"""What a repair did, or would do: a line or two for each step, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

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
        yield "nothing was found that a repair could change"
    for step in done.plan.steps:
        flag = f" ({step.repair.flag})" if step.repair.flag else ""
        yield f"repair  {step.repair.name}{flag}"
        yield from (f"  {shortened(line, _LONGEST)}" for line in step.told)
    for reason in done.plan.refused:
        yield f"not repaired  {reason}"
    yield from _losses(done)
    if done.written:
        yield f"made {done.target}"
    if linked := done.filled.linked:
        more = f" and {len(linked) - 1:,} more" if len(linked) > 1 else ""
        yield (
            f"note  {linked[0]}{more}: the same file as in the source, under a second "
            "name (a hard link); edit neither in place"
        )


def _losses(done: Repaired) -> Iterator[str]:
    if not done.filled.losses:
        return
    ordered = sorted(done.filled.losses.items(), key=lambda item: -item[1])
    yield (
        f"loss  {ordered[0][1]:.3g} of the norm at most, in {len(ordered):,} tensors; "
        "relative, largest first:"
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
