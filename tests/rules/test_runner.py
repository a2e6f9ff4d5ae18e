"""How a rule is run: three ways to end, and what is kept of what it found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from preflight.findings import (
    CannotTell,
    NotApplicable,
    Outcome,
    Problem,
    Result,
    Severity,
    Unavailable,
    WeightType,
)
from preflight.rules import run_rule, run_rules
from preflight.rules._rule import FULL, LORA, SHOWN, Answer, Rule, rule
from tests.cases import case


@dataclass(frozen=True, slots=True)
class Facts:
    """Stands for an inspection; `answers` are what the rule below yields."""

    answers: tuple[Answer, ...] | Unavailable = ()


@rule("T01", fix="Do it right.")
def says_what_it_reads(answers: tuple[Answer, ...]) -> Iterator[Answer]:
    """Why it matters.

    Causes: none.
    """
    yield from answers


@rule("T02", fix="Do it right.", severity=Severity.WARNING)
def warns(answers: tuple[Answer, ...]) -> Iterator[Answer]:
    """Why it matters."""
    yield from answers


@rule("T03", fix="Have it there.")
def copes(answers: tuple[Answer, ...] | Unavailable) -> Iterator[Answer]:
    """Why it matters."""
    if isinstance(answers, Unavailable):
        yield Problem("there", answers.reason)


@rule("T04", fix="Do it right.")
def breaks(answers: tuple[Answer, ...]) -> Iterator[Answer]:
    """Why it matters."""
    yield Problem("first", "found before it broke")
    raise KeyError(str(answers))


def outcome(checked: Rule, *answers: Answer) -> Outcome:
    return run_rule(checked, Facts(answers))


def test_a_rule_knows_itself() -> None:
    made = says_what_it_reads
    assert (made.code, made.name) == ("T01", "says-what-it-reads")
    assert made.reads == ("answers",)
    assert made.manual == "Why it matters.\n\nCauses: none."
    assert copes.copes_without == {"answers"}
    assert warns.copes_without == set()


def test_a_code_that_is_none() -> None:
    cases: list[str] = ["", "T1", "t01", "T001", "T01 ", "01T"]
    for code in cases:
        with case(code), pytest.raises(ValueError, match="not a rule code"):
            rule(code, fix="")


def test_passed() -> None:
    found = outcome(says_what_it_reads)
    assert found == Outcome("T01", "says-what-it-reads", Severity.ERROR, Result.PASSED)


def test_failed() -> None:
    problems = (Problem("a", "is wrong"), Problem("b", "is wrong, too"))
    found = outcome(says_what_it_reads, *problems)
    assert (found.result, found.severity) == (Result.FAILED, Severity.ERROR)
    assert (found.problems, found.count) == (problems, 2)
    assert found.fix == "Do it right."


def test_skipped_because_its_input_is_not_there() -> None:
    found = run_rule(says_what_it_reads, Facts(Unavailable("it is not there")))
    assert (found.result, found.reason) == (Result.SKIPPED, "it is not there")
    assert (found.problems, found.count, found.fix) == ((), 0, "")


def test_skipped_because_it_found_that_it_cannot_tell() -> None:
    found = outcome(says_what_it_reads, CannotTell("no base"), CannotTell("no file"))
    assert (found.result, found.reason) == (Result.SKIPPED, "no base")


def test_not_applicable_where_nothing_is_to_be_judged() -> None:
    never = Unavailable("one file needs no index", applicable=False)
    for found in (
        run_rule(says_what_it_reads, Facts(never)),
        outcome(says_what_it_reads, NotApplicable("one file needs no index")),
    ):
        assert found.result is Result.NOT_APPLICABLE
        assert found.reason == "one file needs no index"
    doubtful = outcome(says_what_it_reads, NotApplicable("a"), CannotTell("no base"))
    assert (doubtful.result, doubtful.reason) == (Result.SKIPPED, "no base")
    wrong = outcome(says_what_it_reads, NotApplicable("a"), Problem("b", "c"))
    assert wrong.result is Result.FAILED


@rule("T08", fix="x")
def reads_two(
    answers: tuple[Answer, ...], more: tuple[Answer, ...]
) -> Iterator[Answer]:
    """Why it matters."""
    yield from (*answers, *more)


def test_what_never_is_there_tells_more_than_what_is_missing_today() -> None:
    never = Unavailable("never there", applicable=False)
    facts = SimpleNamespace(answers=Unavailable("missing today"), more=never)
    found = run_rule(reads_two, facts)
    assert (found.result, found.reason) == (Result.NOT_APPLICABLE, "never there")


def test_a_problem_weighs_more_than_a_doubt() -> None:
    found = outcome(says_what_it_reads, CannotTell("no base"), Problem("a", "b"))
    assert (found.result, found.count) == (Result.FAILED, 1)
    assert found.reason == ""


def test_a_rule_may_judge_the_absence_itself() -> None:
    found = run_rule(copes, Facts(Unavailable("it is not there")))
    assert found.result is Result.FAILED
    assert found.problems == (Problem("there", "it is not there"),)


def test_a_problem_may_be_milder_or_graver_than_its_rule() -> None:
    """All are kept, errors first; beside them a warning says that it is one."""
    cases: list[tuple[Rule, list[Severity | None], Severity, int]] = [
        (says_what_it_reads, [None], Severity.ERROR, 1),
        (says_what_it_reads, [Severity.WARNING], Severity.WARNING, 1),
        (warns, [None], Severity.WARNING, 1),
        (warns, [Severity.ERROR], Severity.ERROR, 1),
        (warns, [None, Severity.ERROR, None], Severity.ERROR, 1),
        (says_what_it_reads, [Severity.WARNING, None, None], Severity.ERROR, 2),
    ]
    for made, severities, worst, first in cases:
        with case(made, severities, worst, first):
            problems = [Problem(str(i), "wrong", s) for i, s in enumerate(severities)]
            found = outcome(made, *problems)
            assert (found.severity, found.count) == (worst, len(problems))
            assert len(found.problems) == len(problems)
            graver = [p.severity or worst for p in found.problems]
            assert graver == [worst] * first + [Severity.WARNING] * (
                len(problems) - first
            )


def test_many_problems_are_counted_and_some_are_kept() -> None:
    cases: list[int] = [SHOWN - 1, SHOWN, SHOWN + 1, 5000]
    for count in cases:
        with case(count):
            found = outcome(
                says_what_it_reads, *[Problem(str(i), "x") for i in range(count)]
            )
            assert found.count == count
            assert [p.where for p in found.problems] == [
                str(i) for i in range(min(count, SHOWN))
            ]


def test_a_fix_belongs_to_its_cause() -> None:
    """The outcome's is that of all its problems, each problem keeps its own."""
    cases: list[tuple[tuple[str, ...], str]] = [
        (("",), "Do it right."),
        (("Rename it.",), "Rename it."),
        (("Rename it.", "Rename it."), "Rename it."),
        (("Rename it.", ""), "Do it right."),
        (("Rename it.", "Copy it."), "Do it right."),
    ]
    for own, told in cases:
        with case(own, told):
            problems = tuple(Problem("a", "is odd", fix=fix) for fix in own)
            outcome = run_rule(says_what_it_reads, Facts(problems))
            assert outcome.fix == told
            assert tuple(problem.fix for problem in outcome.problems) == own


def test_a_rule_that_breaks_has_proven_nothing() -> None:
    found = outcome(breaks)
    assert (found.result, found.severity) == (Result.FAILED, Severity.ERROR)
    (problem,) = found.problems
    assert problem.message == "the rule could not be decided (KeyError: '()')"
    assert found.count == 1


def test_ctrl_c_is_no_fault_of_the_rule() -> None:
    @rule("T05", fix="Go on.")
    def is_interrupted(answers: tuple[Answer, ...]) -> Iterator[Answer]:
        """Why it matters."""
        yield from answers
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_rule(is_interrupted, Facts())


@rule("T06", fix="x", applies=LORA)
def for_adapters(answers: tuple[Answer, ...]) -> Iterator[Answer]:
    """Why it matters."""
    yield from answers


@rule("T07", fix="x", applies=FULL)
def for_full_weights(answers: tuple[Answer, ...]) -> Iterator[Answer]:
    """Why it matters."""
    yield from answers


def test_only_the_rules_of_these_weights_run_in_their_order() -> None:
    cases: list[tuple[WeightType | Unavailable, list[str]]] = [
        (WeightType.LORA, ["T01", "T06"]),
        (WeightType.FULL, ["T01", "T07"]),
        (Unavailable("both lie there"), ["T01"]),
    ]
    for weight_type, codes in cases:
        with case(weight_type, codes):
            rules = (says_what_it_reads, for_adapters, for_full_weights)
            found = run_rules(rules, Facts(), weight_type)
            assert [one.code for one in found] == codes
