"""The report for people."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from preflight.errors import RulesFailed
from preflight.findings import Outcome, Problem, Result, Severity, WeightType
from preflight.pipeline.imported import Imported
from preflight.progress import human_time
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.document import counts
from preflight.report.next_step import as_lines
from preflight.report.uploads import upload_lines
from preflight.rules import RULES
from preflight.studio.submit import How
from preflight.text import Colored, Line, render_lines

WIDTH = 80  # columns
_MANUALS = {rule.code: rule.manual for rule in RULES}


_FOUND = (How.ALREADY_DONE, How.FOUND_AFTER_LOST_ANSWER)
_COLORS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33"}


def _why(code: str) -> str:
    """The first paragraph of a rule's manual, on one line."""
    return " ".join(_MANUALS.get(code, "").split("\n\n", 1)[0].split())


def _milder(problem: Problem, outcome: Outcome) -> str:
    """The word for a warning among errors."""
    warning = Severity.WARNING
    return "warning: " if problem.severity is warning is not outcome.severity else ""


def _told(problem: Problem, outcome: Outcome) -> Iterator[str]:
    """A problem on one line, or on two where one would be too long."""
    message = f"{_milder(problem, outcome)}{problem.message}"
    line = f"  {problem.where}: {message}" if problem.where else ""
    if problem.where and len(line) > WIDTH:
        yield f"  {problem.where}:"
        yield f"    {message}"
    else:
        yield line or f"  {message}"
    yield from (f"    {detail}" for detail in problem.details)


def _prose(label: str, text: str) -> Iterator[str]:
    """A labelled sentence, wrapped; words such as commands stay whole."""
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"  {label:5}",
        subsequent_indent=" " * 7,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _failed(outcome: Outcome) -> Iterator[str | Line]:
    word = Colored(outcome.severity.value, _COLORS[outcome.severity])
    yield Line((word, f" {outcome.code} {outcome.name}"))
    yield from _problems(outcome)
    hidden = outcome.count - len(outcome.problems)
    if hidden > 0:
        yield f"  and {hidden:,} more"
    if why := _why(outcome.code):
        yield from _prose("why", why)
    if outcome.fix and len(_fixes(outcome)) <= 1:
        yield from _prose("fix", outcome.fix)
    yield ""


def _fixes(outcome: Outcome) -> set[str]:
    return {problem.fix or outcome.fix for problem in outcome.problems}


def _problems(outcome: Outcome) -> Iterator[str]:
    """Every problem; where causes have remedies of their own, each below its last."""
    several = len(_fixes(outcome)) > 1
    following = [*outcome.problems[1:], None]
    for problem, after in zip(outcome.problems, following, strict=True):
        yield from _told(problem, outcome)
        if several and (after is None or after.fix != problem.fix):
            yield from _prose("fix", problem.fix or outcome.fix)


def _listed(record: RunRecord, style: Style) -> Iterator[str]:
    """Every rule on one line, for those who asked for it."""
    for outcome in record.report.outcomes:
        reason = f" ({outcome.reason})" if outcome.reason else ""
        idle = outcome.result is Result.NOT_APPLICABLE
        word = "n/a" if idle else outcome.result.value
        yield f"{word:8}{outcome.code} {outcome.name}{reason}"
    if style.verbose and record.report.outcomes:
        yield ""


def _skipped(record: RunRecord) -> Iterator[str]:
    """A line for each reason, with the rules that were not judged for it."""
    reasons: dict[str, list[str]] = {}
    for outcome in record.report.select(Result.SKIPPED):
        reasons.setdefault(outcome.reason, []).append(outcome.code)
    for reason, codes in reasons.items():
        more = f" and {len(codes) - 3} more" if len(codes) > 3 else ""
        yield f"skipped {' '.join(codes[:3])}{more}: {reason}"


def _sum(record: RunRecord) -> str:
    number = counts(record.report)
    told = [r for r in Result if number[r.value] or r is not Result.NOT_APPLICABLE]
    text = ", ".join(f"{number[result.value]} {result.value}" for result in told)
    return f"{text}{_in_the_bucket(record)}"


def _in_the_bucket(record: RunRecord) -> str:
    """What a push that came to no end left there, as far as can be told."""
    if record.command != "push" or record.uploaded is not None:
        return ""
    if "upload" in record.stages and record.exit_code != RulesFailed.exit_code:
        return "; the upload is not complete"
    return "; nothing was uploaded"


def _lines(record: RunRecord, style: Style) -> Iterator[str | Line]:
    if style.verbose:
        yield from _listed(record, style)
    for outcome in record.report.select(Result.FAILED):
        yield from _failed(outcome)
    yield from upload_lines(record, verbose=style.verbose)
    yield from record.notes
    if record.report.outcomes:
        yield from () if style.verbose else _skipped(record)
        yield _sum(record)
    if record.imported is not None:
        yield from _imported(record, record.imported)
        yield from record.imported.causes  # last, where they are read


def _stages(record: RunRecord) -> Iterator[str]:
    """How long each stage took, on one line."""
    took = [f"{name} {human_time(s)}" for name, s in record.stages.items() if s >= 1]
    if took:
        yield f"stages: {', '.join(took)}"


def _imported(record: RunRecord, imported: Imported) -> Iterator[str]:
    """The job, and last of all what was imported under which name."""
    job = imported.job
    code = f" ({job.error_code})" if job.error_code else ""
    yield from _stages(record)
    yield from as_lines(record)
    how = f", {imported.how.value}" if imported.how in _FOUND else ""
    yield f"job {job.job_id}: {job.status}{code}{how}"
    if record.exit_code == 0:
        named = f', shown as "{job.display_name}"' if job.display_name else ""
        verb = "imported" if job.succeeded else "submitted"
        yield f"{verb} {_what(record)}as model {job.model_name}{named}"


def _what(record: RunRecord) -> str:
    """The directory and what it holds; nothing for a job of an earlier run."""
    if record.weight_type is None:
        return ""
    kind = "an adapter of" if record.weight_type is WeightType.LORA else "weights of"
    where = " in the sandbox" if record.sandbox else ""
    return f"{record.directory}, {kind} {record.base_model},{where} "


def render(record: RunRecord, style: Style) -> str:
    """The report as lines; empty when there is nothing to tell."""
    return render_lines(_lines(record, style), color=style.color)
