"""The plan of a repair: the steps that apply, and the directory that comes of them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from preflight.catalog.base import BaseModel
from preflight.directories import temporary_directory
from preflight.errors import PreflightError, UsageError
from preflight.findings import (
    Outcome,
    Report,
    Result,
    Severity,
    Unavailable,
    Verdict,
    WeightType,
)
from preflight.language import glued, say
from preflight.model.base_choice import Request
from preflight.model.files import FileEntry
from preflight.model.headers import Container, read_container
from preflight.model.inspection import Inspection, inspect
from preflight.model.source import LocalDirectory
from preflight.model.steady import open_steady
from preflight.model.weight_type import ADAPTER_CONFIG
from preflight.pipeline.checked import Checked
from preflight.pipeline.options import CheckOptions
from preflight.repair import REPAIRS, Step
from preflight.repair._repair import CannotRepair
from preflight.repair.container import write_outline
from preflight.repair.draft import CONFIG, Draft, Known, Losses, first_draft
from preflight.rules import STATIC_RULES
from preflight.rules.d_subdirectories import subdirectories

_ROUNDS = 4  # looks at what was made, each of which may show a further problem

# Trained weights that are left behind: no repair makes these findings untrue.
CARRIED = frozenset({"D19", "D21"})


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """What will be made of a directory, and why.

    `refused` tells of repairs that would be needed and are not possible. `seen` are
    the names, headers and JSON of the result, `outlook` is what the rules say of them,
    and `carried` what stays true of the source whatever is made of it.
    """

    source: Path
    draft: Draft
    steps: tuple[Step, ...]
    refused: tuple[str, ...]
    before: Report
    outlook: Report
    seen: Inspection
    carried: tuple[Outcome, ...] = ()


def failing(report: Report) -> frozenset[str]:
    """The codes of the rules that failed."""
    return frozenset(outcome.code for outcome in report.select(Result.FAILED))


def planned_repair(
    options: CheckOptions, losses: Losses, *, looked: Inspection | None = None
) -> RepairPlan:
    """Look at a directory and plan its repair; nothing is written beside it.

    `looked`: what a check has just found there, which is not looked for again.
    Raises `UsageError` for no directory, and for one that holds several models.
    """
    outer = looked or inspect(options.source, options.request)
    before = _judged(options, outer)
    found = _inner(outer, options.request, before)
    kind = _kind(found)
    inner = (
        found.location.directory.relative_to(options.source.location.directory)
        .as_posix()
        .strip(".")
    )
    failed = failing(before)
    if found is not outer:
        failed |= failing(_judged(options, found))
    known = replace(_known(found, failed, losses), inner=inner)
    seen, report = found, before
    steps: tuple[Step, ...] = ()
    refused: tuple[str, ...] = ()
    for _ in range(_ROUNDS):
        source = LocalDirectory(found.location.directory)
        draft = first_draft(found, source, kind, known)
        draft, steps, refused = _applied(draft)
        if not draft.weights:
            seen, report = found, before
            break
        seen, report = _outline(draft, options)
        more = _known(seen, known.failed | failing(report), losses)
        if (more.failed, more.base) == (known.failed, known.base):
            break
        known = replace(more, inner=inner)
    carried = tuple(o for o in before.select(Result.FAILED) if o.code in CARRIED)
    report = report.joined(carried)
    here = options.source.location
    where, seen = here.directory, replace(seen, location=here)
    return RepairPlan(where, draft, steps, refused, before, report, seen, carried)


def _judged(options: CheckOptions, found: Inspection) -> Report:
    return Report(options.policy.run(STATIC_RULES, found, found.weight_type))


def _known(found: Inspection, failed: frozenset[str], losses: Losses) -> Known:
    base: BaseModel | Unavailable = found.base
    if isinstance(base, Unavailable):
        base = found.compared
    return Known(failed, base, found.reference, losses=losses)


def _inner(found: Inspection, request: Request, report: Report) -> Inspection:
    """The directory below that holds the model, where there is exactly one."""
    if "D03" not in failing(report):
        return found
    inside = subdirectories(found.walk)
    whole = [
        one
        for one in inside
        if one.what != "an adapter"
        or any(e.name == f"{one.folder}/{CONFIG}" for e in found.walk.entries)
    ]
    if not whole:
        return found
    if len({one.folder for one in whole}) > 1 or len(whole) > 1:
        raise UsageError(
            say(
                "{directory} holds several models: {folder} and others",
                directory=found.location.shown,
                folder=whole[0].folder,
            ),
            hint=say("give the directory of the one that you want"),
        )
    return inspect(found.location.directory / whole[0].folder, request)


def _kind(found: Inspection) -> WeightType:
    """Adapter or full weights; an adapter's weights may have the name of full ones."""
    if not isinstance(found.weight_type, Unavailable):
        return found.weight_type
    source = LocalDirectory(found.location.directory)
    if ADAPTER_CONFIG in found.files:
        named = [
            e for n, e in found.files.items() if n.startswith("model") and e.is_file
        ]
        held = [read_container(source.open(e), e.name) for e in named]
        names = [
            t.name for each in held if isinstance(each, Container) for t in each.tensors
        ]
        if names and all(".lora_" in name for name in names):
            return WeightType.LORA
    raise UsageError(
        found.weight_type.reason, hint=say("say which with --weight-type lora or full")
    )


def _applied(draft: Draft) -> tuple[Draft, tuple[Step, ...], tuple[str, ...]]:
    """All repairs in turn, each on what the ones before it made."""
    steps, refused = [], []
    for repair in REPAIRS:
        if draft.kind not in repair.kinds or not draft.known.losses.allow(repair.flag):
            continue
        try:
            change = repair.apply(draft)
        except CannotRepair as reason:
            refused.append(glued(repair.name, ": ", str(reason)))
            continue
        if change is not None:
            draft = change.draft
            steps.append(Step(repair, change.told))
    return draft, tuple(steps), tuple(refused)


def _outline(draft: Draft, options: CheckOptions) -> tuple[Inspection, Report]:
    """The result as the rules will see it: its JSON files and headers, no values."""
    place = temporary_directory("preflight-fix-")
    if isinstance(place, Unavailable):
        raise UsageError(place.reason)
    try:
        for name, source in draft.files.items():
            if isinstance(source, bytes):
                (place / name).write_bytes(source)
            else:
                _copy(source, place / name)
        for name, tensors in draft.weights.items():
            write_outline(place / name, tensors)
        seen = inspect(place, replace(options.request, weight_type=draft.kind))
        return seen, _judged(options, seen)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _copy(entry: FileEntry, path: Path) -> None:
    """A file as it was when it was looked at, or `Changed`: it may be a FIFO by now."""
    with (
        open_steady(entry.real_path, entry.name, entry.stamp) as source,
        path.open("wb") as file,
    ):
        for block in source.blocks():
            file.write(block.data)


def is_repairable(checked: Checked) -> bool:
    """Whether `preflight fix` would make of it, without loss, what passes the rules.

    Asked of a directory that failed; the values of the weights are not judged again.
    """
    if checked.found.location.url:
        return False  # a repair is made of a directory
    failed = told_left(checked.report)
    lossless = {code for one in REPAIRS if one.is_lossless for code in one.codes}
    if not all(outcome.code in lossless for outcome in failed):
        return False
    # What was fetched for the check is not fetched again for a hint.
    request = replace(checked.options.request, base_from_hub=False)
    try:
        options = replace(checked.options, request=request)
        plan = planned_repair(options, Losses(), looked=checked.found)
    except PreflightError:
        return False
    return bool(plan.draft.weights) and plan.outlook.verdict is not Verdict.FAIL


def told_left(report: Report) -> tuple[Outcome, ...]:
    """The errors that are left."""
    return tuple(
        outcome
        for outcome in report.select(Result.FAILED)
        if outcome.severity is Severity.ERROR
    )
