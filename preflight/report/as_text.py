"""The report for people: what it is, what is wrong, the verdict, what now."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.findings import Result
from preflight.language import say
from preflight.progress import human_time
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.answer import Answer, answer
from preflight.report.failed import failed_lines
from preflight.report.next_step import as_lines
from preflight.report.repairs import repair_lines
from preflight.report.several import Several, headings
from preflight.report.subject import subject
from preflight.report.tables import table
from preflight.report.uploads import upload_lines
from preflight.text import Line, render_lines

_CODES = 3  # named of the rules that were skipped for one reason


def render(record: RunRecord, style: Style) -> str:
    """The report as lines; empty when there is nothing to tell."""
    if style.quiet and not style.verbose:
        found = answer(record)
        lines = [] if found is None else [found.line(marks=style.marks)]
        return render_lines(lines, color=style.color)
    return render_lines(_lines(record, style), color=style.color)


def render_many(several: Several, style: Style) -> str:
    """A table of the directories, and the verdict on all of them."""
    return render_lines(_table_lines(several, style), color=style.color)


def _table_lines(several: Several, style: Style) -> Iterator[str | Line]:
    if not style.quiet:
        rows: list[tuple[str, ...]] = [headings()]
        for each in several.summaries():
            told = (each.word, each.errors, each.warnings, each.saved)
            rows.append((each.directory, *told))
        yield from table(rows, style.width)
        yield ""
    whole = Answer(several.tone, several.word, several.rest)
    yield whole.line(marks=style.marks)
    if not style.quiet and several.following:
        yield say("next  {command}", command=several.following)


def _lines(record: RunRecord, style: Style) -> Iterator[str | Line]:
    found = answer(record)
    about = subject(record, style.width, "·" if style.marks else "|")
    if style.verbose:
        yield from _listed(record)
    if record.report.select(Result.FAILED):
        # Findings may fill screens: who reads from the top needs the verdict there,
        # who looks at the end of it needs it there.
        if found is not None:
            yield found.line(marks=style.marks)
        yield ""
        yield from failed_lines(record, style)
    yield from repair_lines(record)
    if about:
        yield about
    yield from upload_lines(record, verbose=style.verbose)
    if style.verbose or record.uploaded is None or record.uploaded.sent:
        yield from record.notes
    yield from () if style.verbose else _advice(record)
    yield from _ending(record, found, style)


def _ending(
    record: RunRecord, found: Answer | None, style: Style
) -> Iterator[str | Line]:
    """The verdict and what to do now; the answer to a finished push comes last."""
    if style.verbose:
        yield from _stages(record)
    if record.imported is not None:
        yield from as_lines(record, verbose=style.verbose)
    if found is None:
        return
    yield found.line(marks=style.marks)
    if record.imported is not None:
        yield from record.imported.causes
    if found.following:
        yield f"next  {found.following}"


def _listed(record: RunRecord) -> Iterator[str]:
    """Every rule on one line, for those who asked for it."""
    width = max((len(result.value) for result in Result), default=0)
    for outcome in record.report.outcomes:
        reason = f" ({outcome.reason})" if outcome.reason else ""
        yield f"{outcome.result.value:{width}} {outcome.code} {outcome.name}{reason}"
    if record.report.outcomes:
        yield ""


def _advice(record: RunRecord) -> Iterator[str]:
    """What was not judged and could be, with another argument."""
    reasons: dict[str, list[str]] = {}
    for outcome in record.report.select(Result.SKIPPED):
        if "--" in outcome.reason or outcome.reason.startswith("ignored:"):
            reasons.setdefault(outcome.reason, []).append(outcome.code)
    for reason, codes in reasons.items():
        more = f" and {len(codes) - _CODES} more" if len(codes) > _CODES else ""
        yield f"note  not judged: {' '.join(codes[:_CODES])}{more}: {reason}"


def _stages(record: RunRecord) -> Iterator[str]:
    """How long each stage took, on one line."""
    took = [f"{name} {human_time(s)}" for name, s in record.stages.items() if s >= 1]
    if took:
        yield f"stages: {', '.join(took)}"
