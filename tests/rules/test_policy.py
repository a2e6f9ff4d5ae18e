from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from preflight.errors import UsageError
from preflight.findings import Problem, Result, Severity, WeightType
from preflight.rules._rule import rule
from preflight.rules.policy import make_policy
from tests.cases import case


@dataclass(frozen=True)
class Facts:
    number: int


@rule("C90", fix="make it even")
def even(number: int) -> Iterator[Problem]:
    """Odd numbers are refused."""
    if number % 2:
        yield Problem("number", f"is {number}")


@rule("C91", fix="make it small", severity=Severity.WARNING)
def small(number: int) -> Iterator[Problem]:
    """Large numbers are odd."""
    if number > 10:
        yield Problem("number", f"is {number}")


RULES = (even, small)


def results(number: int, **words: object) -> dict[str, tuple[Result, Severity, str]]:
    policy = make_policy(RULES, **words)  # type: ignore[arg-type]
    found = policy.run(RULES, Facts(number), WeightType.LORA)
    return {o.code: (o.result, o.severity, o.reason) for o in found}


def test_without_words_every_rule_counts_as_it_is() -> None:
    assert results(11) == {
        "C90": (Result.FAILED, Severity.ERROR, ""),
        "C91": (Result.FAILED, Severity.WARNING, ""),
    }


def test_strict_makes_warnings_errors_and_leaves_passes_alone() -> None:
    assert results(12, strict=True) == {
        "C90": (Result.PASSED, Severity.ERROR, ""),
        "C91": (Result.FAILED, Severity.ERROR, ""),
    }


def test_an_ignored_failure_is_skipped_and_its_reason_and_problems_stay() -> None:
    policy = make_policy(RULES, ignore=["c90=checked by hand"])
    found = policy.run(RULES, Facts(11), WeightType.LORA)[0]
    assert (found.result, found.reason) == (Result.SKIPPED, "ignored: checked by hand")
    assert found.problems == (Problem("number", "is 11"),)


def test_an_ignored_rule_that_passes_has_passed() -> None:
    assert results(2, ignore=["C90=whatever"])["C90"][0] is Result.PASSED


def test_a_warning_may_be_ignored_without_a_reason() -> None:
    assert results(12, ignore=["C91"])["C91"][2] == "ignored: as --ignore asks"


def test_an_error_needs_a_reason() -> None:
    cases: list[str] = ["C90", "C90=", "C90=  "]
    for word in cases:
        with case(word), pytest.raises(UsageError, match="only with a reason"):
            make_policy(RULES, ignore=[word])


def test_only_the_selected_rules_run() -> None:
    cases: list[list[str]] = [["C91"], ["c91"], ["C91,C91"]]
    for select in cases:
        with case(select):
            assert list(results(11, select=select)) == ["C91"]


def test_a_family_selects_all_its_rules() -> None:
    assert list(results(11, select=["C"])) == ["C90", "C91"]


def test_an_unknown_rule_is_named() -> None:
    cases: list[dict[str, list[str]]] = [
        {"select": ["X"]},
        {"select": [""]},
        {"ignore": ["X01=no"]},
    ]
    for words in cases:
        with case(words), pytest.raises(UsageError, match="there is no rule"):
            make_policy(RULES, **words)  # type: ignore[arg-type]


def test_a_family_is_not_ignored_at_once() -> None:
    with pytest.raises(UsageError, match="whole codes"):
        make_policy(RULES, ignore=["C=all of them"])
