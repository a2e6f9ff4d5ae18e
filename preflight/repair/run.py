"""A repair from its plan to a directory: staged, judged by the rules, put in place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from preflight.directories import cache_home, temporary_directory
from preflight.errors import UsageError
from preflight.findings import Outcome, Report, Unavailable, Verdict
from preflight.language import say
from preflight.model.files import FileEntry
from preflight.model.headers import Container, read_container
from preflight.model.source import LocalDirectory
from preflight.observer import Observer
from preflight.pipeline.checked import Checked, check
from preflight.pipeline.options import CheckOptions
from preflight.progress import human_size
from preflight.repair.container import Advance, size_of, write_tensors
from preflight.repair.draft import Draft
from preflight.repair.plan import CARRIED, RepairPlan
from preflight.repair.stage import (
    check_target,
    free_bytes,
    place,
    publish,
    stage_beside,
    sync_directory,
    write_file,
)
from preflight.repair.tensors import Made, tensors_of
from preflight.repair.values import Losses

Between = Callable[[str], None]
"""Called with a word at each point between two steps; a test ends the process there."""


@dataclass(frozen=True, slots=True)
class Filled:
    """`losses` are relative, by tensor; `linked` are the files that are hard links."""

    losses: Mapping[str, float] = field(default_factory=dict)
    linked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair came to.

    `target` is where the directory was to be, `written` whether it lies there now;
    `filled` tells of losses and of hard links.
    """

    plan: RepairPlan
    target: Path | None = None
    written: bool = False
    filled: Filled = field(default_factory=Filled)


def kept_whole(draft: Draft, tensors: tuple[Made, ...]) -> FileEntry | None:
    """The file whose tensors these are, all of them and unchanged, if there is one."""
    files = {one.origin.file for one in tensors}
    if len(files) != 1 or not all(one.is_moved for one in tensors):
        return None
    (entry,) = files
    opened = draft.source.open(entry)
    found = read_container(opened, entry.name)
    if not isinstance(found, Container) or (found.metadata or {}).get("format") != "pt":
        return None
    return entry if set(tensors_of(entry, found)) == set(tensors) else None


def bytes_to_write(draft: Draft) -> int:
    """How much a repair may write to the disk: what it makes, and copies at worst."""
    made = sum(size_of(tensors) for tensors in draft.weights.values())
    return made + sum(
        len(source) if isinstance(source, bytes) else source.size
        for source in draft.files.values()
    )


def fill(
    stage: Path, draft: Draft, advance: Advance, between: Between = lambda _: None
) -> Filled:
    """Write the draft into an empty directory.

    The same draft gives the same bytes. Raises `Changed`, `Unreadable`, `NotExact`
    and `OSError`.
    """
    losses, linked = Losses(), []
    for name, tensors in sorted(draft.weights.items()):
        between(f"before {name}")
        whole = kept_whole(draft, tensors)
        if whole is not None:
            linked += [name] if place(whole, stage / name, advance) else []
        else:
            write_tensors(stage / name, tensors, losses, _stepping(advance, between))
        between(f"after {name}")
    for name, source in sorted(draft.files.items()):
        if isinstance(source, bytes):
            write_file(stage / name, source)
        else:
            linked += [name] if place(source, stage / name, advance) else []
        between(f"after {name}")
    sync_directory(stage)
    return Filled(losses.relative, tuple(linked))


def _stepping(advance: Advance, between: Between) -> Advance:
    def step(count: int) -> None:
        advance(count)
        between("within")

    return step


def repaired(
    plan: RepairPlan,
    options: CheckOptions,
    target: Path,
    observer: Observer,
    *,
    force: bool = False,
    partial: bool = False,
    between: Between = lambda _: None,
) -> tuple[Repaired, Checked]:
    """Make the directory, run the rules on it, and put it in its place.

    Nothing lies at `target` in the end where a rule of level error fails, unless
    `partial` wants it. Raises `UsageError` for a place that cannot be used, and what
    reading and writing raise.
    """
    check_target(target, plan.source)
    with stage_beside(target) as stage:
        with observer.stage("repair"), observer.progress() as progress:
            progress.start(_need_with_room(plan.draft, stage, _other_target), "writing")
            filled = fill(stage, plan.draft, progress.advance, between)
        between("before check")
        checked = _checked(plan, options, stage, target, observer)
        between("before publish")
        if checked.report.verdict is Verdict.FAIL and not partial:
            return Repaired(plan, target, filled=filled), checked
        publish(stage, target, force=force)
        between("after publish")
    return Repaired(plan, target, written=True, filled=filled), checked


def _other_target() -> str:
    return say("give -o a directory on a disk with more room")


def _other_cache() -> str:
    return say("set XDG_CACHE_HOME to a directory on a disk with more room")


def _need_with_room(draft: Draft, stage: Path, elsewhere: Callable[[], str]) -> int:
    """Bytes that will be written; `UsageError` where there is no room for them.

    Links may make up for room that is not there.
    """
    need, free = bytes_to_write(draft), free_bytes(stage)
    if need <= free:
        return need
    linked = sum(
        size_of(tensors)
        for tensors in draft.weights.values()
        if (entry := kept_whole(draft, tensors))
        and entry.real_path.stat().st_dev == stage.stat().st_dev
    )
    if need - linked > free:
        raise UsageError(
            say(
                "{need} would be written, and there is room for {free}",
                need=human_size(need - linked),
                free=human_size(free),
            ),
            hint=elsewhere(),
        )
    return need


def _checked(
    plan: RepairPlan,
    options: CheckOptions,
    stage: Path,
    target: Path,
    observer: Observer,
) -> Checked:
    """The rules over what was made, under the name that it will have."""
    kind = replace(options.request, weight_type=plan.draft.kind)
    made, named = LocalDirectory(stage), LocalDirectory(target)
    found = check(replace(options, source=made, request=kind), observer)
    report = with_carried(found.report, plan)
    found = replace(found, options=replace(options, source=named), report=report)
    found = replace(found, found=replace(found.found, location=named.location))
    observer.reached(found)
    return found


def with_carried(report: Report, plan: RepairPlan) -> Report:
    """The report with what stays true of the source: trained weights left behind."""
    carried: tuple[Outcome, ...] = plan.carried
    assert all(one.code in CARRIED for one in carried)  # noqa: S101 - made so
    return report.joined(carried)


@contextlib.contextmanager
def repaired_for_now(plan: RepairPlan, observer: Observer, name: str) -> Iterator[Path]:
    """The repaired directory for as long as it is needed, in the user's cache.

    It has the name of the directory that is repaired. Files that stay as they are
    become links where that is possible. Raises `UsageError` where there is no place,
    and what `fill` raises.
    """
    home = cache_home()
    if isinstance(home, Unavailable):
        made = temporary_directory("preflight-")
        if isinstance(made, Unavailable):
            raise UsageError(made.reason)
        home = made
    with stage_beside(home / "preflight" / "repaired") as stage:
        inner = stage / name
        inner.mkdir()
        with observer.stage("repair"), observer.progress() as progress:
            progress.start(
                _need_with_room(plan.draft, inner, _other_cache), "repairing"
            )
            fill(inner, plan.draft, progress.advance)
        yield inner
