"""What a check found, as values: problems, one outcome a rule, the report of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from preflight.language import say


class WeightType(str, Enum):
    """What kind of weights a directory holds, in the spelling of the import API."""

    LORA = "lora"
    FULL = "full"


class Where(str, Enum):
    """What kind of place a model lies in."""

    DIRECTORY = "a directory on this machine"
    BUCKET = "a prefix of a bucket"

    @property
    def told(self) -> str:
        """It for people, as a reason."""
        return _PLACES[self]


_PLACES = {
    Where.DIRECTORY: say("this is a directory on this machine"),
    Where.BUCKET: say("this is a prefix of a bucket"),
}


class Severity(str, Enum):
    """`ERROR`: the import fails or the model is broken. `WARNING`: it may."""

    ERROR = "error"
    WARNING = "warning"

    @property
    def word(self) -> str:
        """It for people."""
        return _SEVERITIES[self]


_SEVERITIES = {Severity.ERROR: say("error"), Severity.WARNING: say("warning")}


class Result(str, Enum):
    """How one rule ended; a rule that lacked its input is skipped, never passed.

    `NOT_APPLICABLE`: there is nothing in such a directory that the rule could judge,
    as the shards of a model in one file, so nobody has to do anything about it.
    """

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_APPLICABLE = "not applicable"

    @property
    def word(self) -> str:
        """It for people."""
        return _RESULTS[self]


_RESULTS = {
    Result.PASSED: say("passed"),
    Result.FAILED: say("failed"),
    Result.SKIPPED: say("skipped"),
    Result.NOT_APPLICABLE: say("not applicable"),
}


class Verdict(str, Enum):
    """The sum of a report."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where (file, tensor or field) and what.

    `severity` overrides the rule's own where one rule knows a milder case, `fix` the
    rule's where this cause has a remedy of its own; `details` are further lines, such
    as those of a comparison.
    """

    where: str
    message: str
    severity: Severity | None = None
    fix: str = ""
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CannotTell:
    """Yielded by a rule that found out on its way that it lacks an input."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """Yielded by a rule that finds nothing that it could judge, and needs nothing."""

    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One rule's answer for one directory.

    `problems` holds the first few, errors before warnings;
    `count` is how many there were in all.
    """

    code: str
    name: str
    severity: Severity
    result: Result
    reason: str = ""
    problems: tuple[Problem, ...] = ()
    count: int = 0
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes of one check, in the order in which the rules ran."""

    outcomes: tuple[Outcome, ...] = field(default=())

    @property
    def verdict(self) -> Verdict:
        """`FAIL` when an error-level rule failed, `WARN` when only warnings did."""
        failed = {o.severity for o in self.outcomes if o.result is Result.FAILED}
        if Severity.ERROR in failed:
            return Verdict.FAIL
        return Verdict.WARN if failed else Verdict.PASS

    def select(self, result: Result) -> tuple[Outcome, ...]:
        """The outcomes that ended as `result`."""
        return tuple(o for o in self.outcomes if o.result is result)

    def joined(self, later: Iterable[Outcome]) -> Report:
        """This report with outcomes replaced or added by their code."""
        new = {o.code: o for o in later}
        kept = tuple(new.pop(o.code, o) for o in self.outcomes)
        return Report(kept + tuple(new.values()))


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Something that could not be had; a rule that needs it is skipped, so told.

    Not `applicable`: such a directory has it never, and rules that need it have
    nothing to judge.
    """

    reason: str
    applicable: bool = field(default=True, compare=False)
