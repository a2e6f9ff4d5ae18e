"""The stored answers of the loaders, and where another judge may differ from them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TABLE = HERE / "answers.jsonl"
DIFFERENCES = HERE / "differences.json"
REFRESH = "make loaders"


class Answer(IntEnum):
    """What a loader makes of a directory, from good to bad."""

    LOADS = 0
    DEAD = 1
    REFUSES = 2


SPELLED = {
    "loads": Answer.LOADS,
    "loads but dead": Answer.DEAD,
    "refuses": Answer.REFUSES,
}
Said = Mapping[str, tuple[str, str]]  # loader → its answer and its words


@dataclass(frozen=True, slots=True)
class Row:
    """The answers to one directory: environment → loader → answer and words.

    `digest` tells what the directory held when they were asked.
    """

    fixture: str
    digest: str
    answers: Mapping[str, Said]

    @property
    def worst(self) -> Answer:
        """The answer of the strictest loader."""
        said = (answer for one in self.answers.values() for answer, _ in one.values())
        return max(SPELLED[answer] for answer in said)

    def words(self) -> str:
        """Everything that is not simply good, for a person who looks for the cause."""
        return "\n".join(
            f"{environment}, {loader}: {answer}: {words}"
            for environment, said in self.answers.items()
            for loader, (answer, words) in said.items()
            if SPELLED[answer] is not Answer.LOADS
        )


@dataclass(frozen=True, slots=True)
class Table:
    """All rows by fixture; `environments` holds each one's packages and versions."""

    command: str
    made: str
    environments: Mapping[str, Mapping[str, str]]
    rows: Mapping[str, Row]


def made_row(fixture: str, digest: str, answers: Mapping[str, Any]) -> Row:
    """A row of what was read as JSON: environment → loader → [answer, words]."""
    typed = {
        environment: {
            loader: (answer, words) for loader, (answer, words) in said.items()
        }
        for environment, said in answers.items()
    }
    return Row(fixture, digest, typed)


@lru_cache(maxsize=1)
def stored() -> Table:
    """The table of the repository: a line that tells how it was made, then the rows."""
    first, *lines = TABLE.read_text("utf-8").splitlines()
    head = json.loads(first)
    rows = (made_row(**json.loads(line)) for line in lines)
    return Table(**head, rows={row.fixture: row for row in rows})


def is_of_new_base(name: str) -> bool:
    """Whether a good directory's base is one that no loader was asked about.

    A base is one file in the catalogue; the loaders' word on it may come later.
    """
    return (base := _base_of(name)) is not None and base not in _asked()


def _base_of(name: str) -> str | None:
    parts = name.split("/")
    return parts[2] if parts[0] == "good" else None


@lru_cache(maxsize=1)
def _asked() -> frozenset[str]:
    return frozenset(base for name in stored().rows if (base := _base_of(name)))


def write(table: Table) -> None:
    """Replace the stored table; one row a line, sorted, so that changes are seen."""
    head = {
        "command": table.command,
        "made": table.made,
        "environments": table.environments,
    }
    rows = (table.rows[name] for name in sorted(table.rows))
    lines = [head] + [
        {"fixture": row.fixture, "digest": row.digest, "answers": row.answers}
        for row in rows
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    TABLE.write_text(text, "utf-8")


@dataclass(frozen=True, slots=True)
class Difference:
    """Fixtures of which judges say other than the loaders, and why that is right.

    `judges` are `check` or `sandbox` or both; `say` is `accepts` or `refuses`.
    """

    judges: tuple[str, ...]
    say: str
    reason: str
    fixtures: tuple[str, ...]


def _differences(groups: Iterable[Mapping[str, Any]]) -> tuple[Difference, ...]:
    return tuple(
        Difference(tuple(g["judges"]), g["say"], g["reason"], tuple(g["fixtures"]))
        for g in groups
    )


@lru_cache(maxsize=1)
def differences() -> tuple[Difference, ...]:
    """The list of differences of the repository."""
    return _differences(json.loads(DIFFERENCES.read_text("utf-8")))


def reason_for(judge: str, says: str, fixture: str) -> str:
    """Why a judge may say other than the loaders of a fixture; empty if it may not."""
    for one in differences():
        if judge in one.judges and one.say == says and fixture in one.fixtures:
            return one.reason
    return ""
