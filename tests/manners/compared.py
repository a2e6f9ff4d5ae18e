"""Ours beside the others: better, equal or worse in each situation, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tests.manners.ask import FORKED, Bench, ask
from tests.manners.situations import OURS, REASONS, SITUATIONS, TOOLS, Did, Situation

ANSWERS = Path(__file__).with_name("answers.json")
Facts = dict[str, bool]
Answers = dict[str, dict[str, Facts]]


class Verdict(Enum):
    """How ours did beside another tool."""

    BETTER = "better"
    EQUAL = "equal"
    WORSE = "worse"


@dataclass(frozen=True, slots=True)
class Row:
    """One situation beside one tool; `told` says what makes the difference."""

    situation: str
    tool: str
    verdict: Verdict
    told: str
    reason: str = ""


def facts_of(case: Situation, did: Did) -> Facts:
    """Which of the good properties there are."""
    return {name: bool(fact(did)) for name, fact in case.facts.items()}


def stored() -> Answers:
    """What the other tools did when they were asked last."""
    found: Answers = json.loads(ANSWERS.read_text("utf-8"))
    return found


def ours(at: Bench) -> dict[str, Facts]:
    """What preflight does in every situation."""
    return {
        case.name: facts_of(case, ask(FORKED, case.words[OURS] or (), case, at))
        for case in SITUATIONS
    }


def compared(mine: Mapping[str, Facts], others: Answers) -> list[Row]:
    """A row for each situation and each tool."""
    return [
        _row(case, tool, mine[case.name], others.get(case.name, {}).get(tool))
        for case in SITUATIONS
        for tool in TOOLS
    ]


def _row(case: Situation, tool: str, mine: Facts, theirs: Facts | None) -> Row:
    if theirs is None:
        return Row(case.name, tool, Verdict.BETTER, "it has nothing like it")
    more = [fact for fact in mine if mine[fact] and not theirs[fact]]
    less = [fact for fact in mine if theirs[fact] and not mine[fact]]
    if less:
        reason = REASONS.get((case.name, tool), "")
        return Row(case.name, tool, Verdict.WORSE, f"lacks: {', '.join(less)}", reason)
    if more:
        return Row(case.name, tool, Verdict.BETTER, f"has: {', '.join(more)}")
    return Row(case.name, tool, Verdict.EQUAL, "the same")
