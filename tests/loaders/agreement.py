"""Check and the sandbox's job against what the loaders answered of a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from preflight.catalog.loaders import load_confirmations
from tests.loaders.cases import digest
from tests.loaders.table import REFRESH, Answer, Row, reason_for, stored
from tests.sandbox.court import Judgement

ACCEPTS, REFUSES = "accepts", "refuses"


def disagreements(fixture: str, directory: Path, found: Judgement) -> list[str]:
    """What is wrong about a fixture's judgement or about its stored answers.

    Nothing for a fixture that no loader was asked about: a test of its own tells.
    """
    row = stored().rows.get(fixture)
    if row is None:
        return []
    if digest(directory) != row.digest:
        return [f"{fixture} has changed since the loaders were asked: {REFRESH}"]
    return [*_differences(row, found), *_evidence(fixture, found)]


def _says(refuses: object) -> str:
    return REFUSES if refuses else ACCEPTS


def _differences(row: Row, found: Judgement) -> Iterator[str]:
    loaders = _says(row.worst is not Answer.LOADS)
    judges = {
        "check": _says(found.verdict == "fail"),
        "sandbox": _says(found.reasons is None or found.reasons),
    }
    for judge, said in judges.items():
        reason = reason_for(judge, said, row.fixture)
        if said != loaders and not reason:
            yield f"{row.fixture}: {judge} {said} it\n{row.words()}\n{found}"
        if said == loaders and reason:
            yield f"{row.fixture}: {judge} agrees, there is no need of: {reason}"


def _evidence(fixture: str, found: Judgement) -> Iterator[str]:
    """The package's data must not cite it for a rule that it does not break."""
    for code, confirmations in load_confirmations().items():
        cited = {name for one in confirmations for name in (*one.refuses, *one.dead)}
        if fixture in cited and code not in found.failed:
            yield f"{fixture} does not break {code}, which it confirms: {REFRESH}"
