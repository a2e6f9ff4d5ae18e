"""The report for people: what it is, what is wrong, the verdict, what now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from preflight.findings import Result
from preflight.language import glued, joined, known, say
from preflight.progress import human_time
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.answer import Answer, answer
from preflight.report.failed import brief_lines, failed_lines
from preflight.report.next_step import as_lines
from preflight.report.pushes import reasons, short_names
from preflight.report.repairs import repair_lines
from preflight.report.several import Several
from preflight.report.subject import subject
from preflight.report.tables import table
from preflight.report.uploads import upload_lines
from preflight.text import Line, columns, folded, padded, render_lines

_CODES = 3  # named of the rules that were skipped for one reason


def render(record: RunRecord, style: Style) -> str:
    """The report as lines; empty when there is nothing to tell."""
    if style.quiet and not style.verbose:
        found = answer(record)
        lines = (
            [] if found is None else found.lines(marks=style.marks, width=style.width)
        )
        return render_lines(lines, color=style.color)
    return render_lines(_lines(record, style), color=style.color)


def render_many(several: Several, style: Style) -> str:
    """A table of the directories, and the verdict on all of them."""
    return render_lines(_table_lines(several, style), color=style.color)


def _table_lines(several: Several, style: Style) -> Iterator[str | Line]:
    if not style.quiet:
        told = several.summaries()
        rows = [(each.directory, each.word, *each.cells) for each in told]
        if several.command == "push":
            yield from _push_table(several.headings, rows, style)
            yield from _push_lines(several, style)
        else:
            yield from table([several.headings, *rows], style.width)
        yield ""
    whole = Answer(several.tone, several.word, several.rest)
    yield from whole.lines(marks=style.marks, width=style.width)
    if not style.quiet and several.following:
        following = say("next  {command}", command=several.following)
        yield from folded(following, style.width)


def _push_table(
    headings: Sequence[str], rows: Sequence[tuple[str, ...]], style: Style
) -> Iterator[str]:
    """What tells the directories apart comes first, and the destination last."""
    names = [row[0] for row in rows]
    names = short_names(names, style.width // 3) if style.width else names
    told = [(name, *row[1:]) for name, row in zip(names, rows, strict=True)]
    yield from table([headings, *told], style.width, whole=(0, 1, 2, 3), spare=(3,))


def _push_lines(several: Several, style: Style) -> Iterator[str | Line]:
    """Why some are not done; for those who ask, with all findings."""
    for record in several.records if style.verbose else ():
        if record.report.select(Result.FAILED):
            yield ""
            yield from failed_lines(record, style)
    told = list(reasons(several.records))
    if told:
        yield ""
    for line in told:
        yield from folded(line, style.width)


def _lines(record: RunRecord, style: Style) -> Iterator[str | Line]:
    found = answer(record)
    ending = list(_ending(record, found, style))
    if record.dry_run and record.command == "push":
        yield say("dry run: nothing is sent")
    if style.verbose:
        for line in _listed(record):
            yield from folded(line, style.width)
    if record.report.select(Result.FAILED):
        yield from _findings(record, found, style, ending)
    for told in repair_lines(record):
        yield from folded(told, style.width)
    yield from ending


def _findings(
    record: RunRecord,
    found: Answer | None,
    style: Style,
    ending: Sequence[str | Line],
) -> Iterator[str | Line]:
    """All findings, and in short once more where they do not fit on the screen.

    Who reads from the top needs the verdict there; who looks at what a terminal shows
    when all has scrolled away, needs the findings there, too.
    """
    told: list[str | Line] = []
    if found is not None:
        told += found.lines(marks=style.marks, width=style.width)
    told += ["", *failed_lines(record, style)]
    yield from told
    if not style.height or len(record.report.select(Result.FAILED)) == 1:
        return
    room = style.height - 1 - _rows(ending, style)  # below it stands the prompt
    if _rows(told, style) > room:
        yield from brief_lines(record, style, room)


def _rows(lines: Sequence[str | Line], style: Style) -> int:
    """How many lines of a terminal they take."""
    widths = (columns(line if isinstance(line, str) else line.text) for line in lines)
    return sum(max(1, -(-width // style.width)) for width in widths)


def _ending(
    record: RunRecord, found: Answer | None, style: Style
) -> Iterator[str | Line]:
    """What it is, the verdict and what to do now; an answer comes last."""
    for line in _about(record, style):
        yield from folded(line, style.width)
    if record.imported is not None:
        for line in as_lines(record, verbose=style.verbose):
            copied = line.startswith(("    ", "  curl"))
            yield from folded(line, 0 if copied else style.width)
    if found is None:
        return
    yield from found.lines(marks=style.marks, width=style.width)
    if record.imported is not None:
        for cause in record.imported.causes:
            yield from folded(cause, style.width)
    if found.following:
        following = say("next  {command}", command=found.following)
        yield from folded(following, style.width)


def _about(record: RunRecord, style: Style) -> Iterator[str]:
    """What the directory is, what became of its upload, and what there is to know."""
    if about := subject(record, style.width, "·" if style.marks else "|"):
        yield about
    yield from upload_lines(record, verbose=style.verbose)
    yield from record.notes if style.verbose or _are_due(record) else ()
    yield from _stages(record) if style.verbose else _advice(record)


def _are_due(record: RunRecord) -> bool:
    """Whether notes are of what was done: not of what was only meant to be."""
    if record.uploaded is None:
        return record.error is None
    return record.uploaded.sent > 0


def _listed(record: RunRecord) -> Iterator[str]:
    """Every rule on one line, for those who asked for it."""
    width = max((columns(result.word) for result in Result), default=0)
    for outcome in record.report.outcomes:
        line = f"{padded(outcome.result.word, width)} {outcome.code} {outcome.name}"
        yield glued(line, " (", outcome.reason, ")") if outcome.reason else line
    if record.report.outcomes:
        yield ""


def _advice(record: RunRecord) -> Iterator[str]:
    """What was not judged and could be, with another argument."""
    reasons: dict[str, list[str]] = {}
    for outcome in record.report.select(Result.SKIPPED):
        if "--" in outcome.reason or outcome.reason.startswith("ignored:"):
            reasons.setdefault(outcome.reason, []).append(outcome.code)
    for reason, codes in reasons.items():
        named: str = " ".join(codes[:_CODES])
        if len(codes) > _CODES:
            more = len(codes) - _CODES
            named = say("{named} and {count:,} more", named=named, count=more)
        yield say("note  not judged: {codes}: {reason}", codes=named, reason=reason)


def _stages(record: RunRecord) -> Iterator[str]:
    """How long each stage took, on one line."""
    took = [
        glued(known(name), " ", human_time(s))
        for name, s in record.stages.items()
        if s >= 1
    ]
    if took:
        yield say("stages: {stages}", stages=joined(", ", took))
