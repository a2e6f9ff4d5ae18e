"""What a repair is: a step from one draft of a directory to a better one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from preflight.findings import WeightType
from preflight.repair.draft import Draft


@dataclass(frozen=True, slots=True)
class Change:
    """The draft after a repair, and in words what was done."""

    draft: Draft
    told: tuple[str, ...]


class CannotRepair(Exception):
    """A repair would be needed and is not possible; the text says why."""


Apply = Callable[[Draft], "Change | None"]


@dataclass(frozen=True, slots=True)
class Repair:
    """One repair: the rules it answers, and `about` it a sentence.

    `flag` allows it on the command line, and is empty where nothing is lost.
    """

    name: str
    codes: tuple[str, ...]
    about: str
    kinds: frozenset[WeightType]
    apply: Apply
    flag: str = ""

    @property
    def is_lossless(self) -> bool:
        """Whether the model computes exactly what it computed before."""
        return not self.flag


@dataclass(frozen=True, slots=True)
class Step:
    """A repair that was applied, and in words what it did here."""

    repair: Repair
    told: tuple[str, ...]


def repair(
    codes: str,
    about: str,
    *,
    kinds: frozenset[WeightType] = frozenset({WeightType.LORA}),
    flag: str = "",
) -> Callable[[Apply], Repair]:
    """Turn a function into a repair; `codes` of rules are separated by spaces.

    The function returns None where there is nothing for it to do.
    """

    def made(apply: Apply) -> Repair:
        name = apply.__name__.replace("_", "-")
        return Repair(name, tuple(codes.split()), about, kinds, apply, flag)

    return made


def changed(draft: Draft, *told: str) -> Change:
    """What a repair returns when it did something."""
    return Change(draft, told)
