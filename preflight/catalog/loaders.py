"""Which loaders confirm a rule: what they do with directories that break it.

`data/loaders.json` is made by a run of the real loaders over directories that break
one thing each (`make loaders`); nothing is edited by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from preflight.language import glued, joined, say

DATA = Path(__file__).parent / "data" / "loaders.json"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What one loader does with the directories that a rule refuses.

    `loader` names program and version. Of `of` directories that were tried it refuses
    `refuses`; it loads `dead` without an error, and something of them does nothing or
    does harm. Both hold the names of the directories.
    """

    loader: str
    refuses: tuple[str, ...]
    dead: tuple[str, ...]
    of: int

    def __str__(self) -> str:
        """A line for people: `PEFT 0.21.2 …: refuses 2 of 9, loads 7 without use`."""
        said = []
        if self.refuses:
            said.append(
                say("refuses {count} of {of}", count=len(self.refuses), of=self.of)
            )
        if self.dead and said:
            said.append(say("loads {count} without use", count=len(self.dead)))
        elif self.dead:
            said.append(
                say(
                    "loads {count} of {of} without use",
                    count=len(self.dead),
                    of=self.of,
                )
            )
        return glued(self.loader, ": ", joined(", ", said))


@lru_cache(maxsize=1)
def load_confirmations() -> Mapping[str, tuple[Confirmation, ...]]:
    """All confirmations by the code of the rule; absent where no loader has any."""
    document = json.loads(DATA.read_text("utf-8"))
    environments = document["environments"]
    return MappingProxyType(
        {
            code: tuple(_confirmation(one, environments) for one in found)
            for code, found in document["rules"].items()
        }
    )


def _confirmation(
    one: Mapping[str, Any], environments: Mapping[str, Mapping[str, str]]
) -> Confirmation:
    versions = environments[one["environment"]]
    loader = f"transformers {versions['transformers']}, {one['loader']}"
    if one["loader"] == "peft":
        loader = say(
            "PEFT {peft} on transformers {transformers}",
            peft=versions["peft"],
            transformers=versions["transformers"],
        )
    refuses, dead = tuple(one.get("refuses", ())), tuple(one.get("dead", ()))
    return Confirmation(loader, refuses, dead, one["of"])
