"""What a rule is, and how rules are run over an inspection."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from preflight.findings import (
    CannotTell,
    NotApplicable,
    Outcome,
    Problem,
    Result,
    Severity,
    Unavailable,
    WeightType,
    Where,
)
from preflight.language import known, say
from preflight.text import shortened

Answer = Problem | CannotTell | NotApplicable
Check = Callable[..., Iterator[Answer]]

BOTH = frozenset(WeightType)
LORA = frozenset({WeightType.LORA})
FULL = frozenset({WeightType.FULL})
ANYWHERE = frozenset(Where)
ON_DISK = frozenset({Where.DIRECTORY})
IN_BUCKET = frozenset({Where.BUCKET})

SHOWN = 12  # problems kept of one rule; the rest is counted
# Names of tensors and values of files may be of any length; a finding is for people.
_WHERE, _MESSAGE = 400, 1200  # characters
_NEXT = re.compile(r"\n\s*\n|\n(?=(?:Causes|Source): )")
_CODE = re.compile(r"^[A-Z][0-9]{2}$")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a pure function of parts of the inspection, and its manual page.

    `reads` are the function's parameters: fields of `Inspection` by name. A rule that
    says `| Unavailable` of a parameter judges its absence itself. `where` are the kinds
    of places that it can judge.
    """

    code: str
    severity: Severity
    applies: frozenset[WeightType]
    fix: str
    check: Check
    reads: tuple[str, ...]
    copes_without: frozenset[str]
    where: frozenset[Where] = ANYWHERE

    @property
    def name(self) -> str:
        """The function's name with hyphens, as it stands in reports."""
        return self.check.__name__.replace("_", "-")

    @property
    def manual(self) -> str:
        """The docstring: why, common causes and the public source."""
        return inspect.getdoc(self.check) or _written(self.check)

    @property
    def paragraphs(self) -> tuple[str, ...]:
        """The manual for people: each paragraph, cause and source on its own."""
        found = _NEXT.split(self.manual.strip())
        return tuple(known(" ".join(each.split())) for each in found)

    @property
    def why(self) -> str:
        """The first paragraph, on one line."""
        return self.paragraphs[0]


def _written(check: Check) -> str:
    """The docstring in the source: under PYTHONOPTIMIZE=2 functions have none."""
    try:
        source = textwrap.dedent(inspect.getsource(check))
        # Not `ast.parse`: from Python 3.14 on that leaves docstrings out, too.
        tree = compile(source, "rule", "exec", ast.PyCF_ONLY_AST, optimize=0)
    except (OSError, SyntaxError):  # a zipped or compiled package
        return ""
    first = tree.body[0] if isinstance(tree, ast.Module) else None
    if not isinstance(first, ast.FunctionDef):
        return ""
    return ast.get_docstring(first) or ""


def rule(
    code: str,
    *,
    fix: str,
    severity: Severity = Severity.ERROR,
    applies: frozenset[WeightType] = BOTH,
    where: frozenset[Where] = ANYWHERE,
) -> Callable[[Check], Rule]:
    """Turn a generator function into the rule with this code; registers nothing."""
    if not _CODE.match(code):
        raise ValueError(f"not a rule code: {code}")

    def made(check: Check) -> Rule:
        parameters = inspect.signature(check).parameters
        copes = {n for n, p in parameters.items() if "Unavailable" in str(p.annotation)}
        reads = tuple(parameters)
        return Rule(code, severity, applies, fix, check, reads, frozenset(copes), where)

    return made


def run_rule(rule: Rule, facts: Any) -> Outcome:  # noqa: ANN401 - tests give others
    """The outcome of one rule over `facts`, whose fields the rule names.

    An unavailable field skips the rule with that reason, or makes it not applicable,
    as another place than the rule is for does.
    A rule that breaks on an input nobody thought of has proven nothing and therefore
    counts as failed.
    """
    if rule.where != ANYWHERE and (here := facts.location.where) not in rule.where:
        return _outcome(rule, Result.NOT_APPLICABLE, reason=here.told)
    values: dict[str, Any] = {name: getattr(facts, name) for name in rule.reads}
    lacking = [
        value
        for name, value in values.items()
        if isinstance(value, Unavailable) and name not in rule.copes_without
    ]
    if lacking:
        # What never is in such a directory tells more than what is missing today.
        first = min(lacking, key=lambda value: value.applicable)
        result = Result.SKIPPED if first.applicable else Result.NOT_APPLICABLE
        return _outcome(rule, result, reason=first.reason)
    try:
        return _answer(rule, rule.check(**values))
    except Exception as exc:  # noqa: BLE001 - see the docstring
        message = say(
            "the rule could not be decided ({name}: {exc})",
            name=type(exc).__name__,
            exc=exc,
        )
        return _outcome(rule, Result.FAILED, problems=[Problem("", message)])


def _answer(rule: Rule, answers: Iterable[Answer]) -> Outcome:
    problems: dict[Severity, list[Problem]] = {each: [] for each in Severity}
    reasons: dict[Result, str] = {}
    count = 0
    for answer in answers:
        if isinstance(answer, CannotTell):
            reasons.setdefault(Result.SKIPPED, answer.reason)
        elif isinstance(answer, NotApplicable):
            reasons.setdefault(Result.NOT_APPLICABLE, answer.reason)
        else:
            count += 1
            severity = answer.severity or rule.severity
            if len(problems[severity]) < SHOWN:
                problems[severity].append(_readable(answer))
    if count:
        errors, warnings = problems[Severity.ERROR], problems[Severity.WARNING]
        worst = Severity.ERROR if errors else Severity.WARNING
        if errors:  # beside an error a warning has to say that it is one
            warnings = [replace(each, severity=Severity.WARNING) for each in warnings]
        found = errors + warnings
        return _outcome(rule, Result.FAILED, found, count=count, severity=worst)
    for result in (Result.SKIPPED, Result.NOT_APPLICABLE):
        if result in reasons:
            return _outcome(rule, result, reason=reasons[result])
    return _outcome(rule, Result.PASSED)


def _readable(problem: Problem) -> Problem:
    """The problem with both texts at a length that can be read."""
    return replace(
        problem,
        where=shortened(problem.where, _WHERE),
        message=shortened(problem.message, _MESSAGE),
        details=tuple(shortened(line, _MESSAGE) for line in problem.details),
    )


def _fix(rule: Rule, found: tuple[Problem, ...]) -> str:
    """The one remedy of all problems; the rule's own where there are several."""
    fixes = {problem.fix or rule.fix for problem in found}
    return fixes.pop() if len(fixes) == 1 else rule.fix if fixes else ""


def _outcome(
    rule: Rule,
    result: Result,
    problems: Iterable[Problem] = (),
    *,
    reason: str = "",
    count: int | None = None,
    severity: Severity | None = None,
) -> Outcome:
    found = tuple(problems)
    return Outcome(
        rule.code,
        rule.name,
        severity or rule.severity,
        result,
        reason=reason,
        problems=found,
        count=len(found) if count is None else count,
        fix=_fix(rule, found),
    )


def run_rules(
    rules: Iterable[Rule], facts: object, weight_type: WeightType | Unavailable
) -> tuple[Outcome, ...]:
    """All rules that apply to `weight_type`, in order.

    While the type is unknown, only rules that hold for both are run.
    """
    return tuple(
        run_rule(rule, facts)
        for rule in rules
        if rule.applies == BOTH or weight_type in rule.applies
    )
