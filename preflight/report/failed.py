"""The rules that failed, for people: what, why it matters, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.findings import Outcome, Problem, Result, Severity
from preflight.language import glued, say
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.subject import label
from preflight.rules import RULES
from preflight.text import Colored, Line, columns, cut, folded, padded

_SEVERITY = max(len(severity.value) for severity in Severity)
_LONG = 40  # columns
_SHOWN = 3  # problems of one rule; --verbose shows all that are kept
_MANUALS = {rule.code: rule for rule in RULES}
_COLORS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33"}


def failed_lines(record: RunRecord, style: Style) -> Iterator[str | Line]:
    """Each rule that failed, errors first, with an empty line after each."""
    for outcome in _ordered(record):
        yield from _failed(outcome, label(record.directory), style)


def brief_lines(record: RunRecord, style: Style, room: int) -> Iterator[str | Line]:
    """Each rule that failed on a line of its own, at most `room` lines in all."""
    failed = list(_ordered(record))
    shown = failed if len(failed) < room else failed[: max(0, room - 2)]
    yield say("in short:")
    for outcome in shown:
        word = Colored(outcome.severity.value, _COLORS[outcome.severity])
        gap = " " * (_SEVERITY - len(outcome.severity.value))
        first = outcome.problems[0]
        where = label(record.directory) if first.where == "." else first.where
        if not where or columns(where) > _LONG:  # a tensor's name says less
            where = outcome.name
        told = f"{where}: {first.message}"
        begin = f"{gap} {outcome.code}  "
        room_left = style.width - _SEVERITY - len(begin) + len(gap)
        yield Line((word, begin, cut(told, room_left)))
    if len(shown) < len(failed):
        yield say("and {count} more, above", count=len(failed) - len(shown))


def _ordered(record: RunRecord) -> Iterator[Outcome]:
    """The rules that failed, errors first."""
    failed = record.report.select(Result.FAILED)
    for severity in Severity:
        yield from (each for each in failed if each.severity is severity)


def why(code: str) -> str:
    """The first paragraph of a rule's manual, on one line."""
    found = _MANUALS.get(code)
    return found.why if found else ""


def _failed(outcome: Outcome, directory: str, style: Style) -> Iterator[str | Line]:
    word = Colored(outcome.severity.word, _COLORS[outcome.severity])
    yield Line((word, f" {outcome.code} {outcome.name}"))
    shown = outcome.problems if style.verbose else outcome.problems[:_SHOWN]
    yield from _problems(outcome, shown, directory, style)
    hidden = outcome.count - len(shown)
    if hidden > 0:
        more = say("  and {count:,} more", count=hidden)
        yield more if style.verbose else say("{more} (-v shows them)", more=more)
    if reason := why(outcome.code):
        yield from prose(say("why"), reason, style.prose)
    if outcome.fix and len(_fixes(outcome)) <= 1:
        yield from prose(say("fix"), next(iter(_fixes(outcome))), style.prose)
    yield ""


def _fixes(outcome: Outcome) -> set[str]:
    return {problem.fix or outcome.fix for problem in outcome.problems}


def _problems(
    outcome: Outcome, shown: tuple[Problem, ...], directory: str, style: Style
) -> Iterator[str]:
    """Every problem; where causes have remedies of their own, each below its last."""
    several = len(_fixes(outcome)) > 1
    for problem, after in zip(shown, [*shown[1:], None], strict=True):
        mild = problem.severity is Severity.WARNING is not outcome.severity
        yield from _told(problem, directory, style, say("warning: ") if mild else "")
        if several and (after is None or after.fix != problem.fix):
            yield from prose(say("fix"), problem.fix or outcome.fix, style.prose)


def _told(problem: Problem, directory: str, style: Style, before: str) -> Iterator[str]:
    """A problem on one line, or on two where one would be too long.

    `before` is the word for a warning among errors.
    """
    where = directory if problem.where == "." else problem.where
    message = glued(before, problem.message)
    line = glued("  ", f"{where}: " if where else "", message)
    if where and columns(line) > style.prose:
        yield from folded(f"  {where}:", style.width)
        yield from folded(glued("    ", message), style.width)
    else:
        yield from folded(line, style.width)
    if style.verbose:
        yield from (glued("    ", detail) for detail in problem.details)


def prose(label: str, text: str, width: int) -> Iterator[str]:
    """A labelled sentence, folded; words such as commands stay whole."""
    yield from folded(glued(f"  {padded(label, 3)}  ", text), width)
