"""Which loaders confirm which rule, made from the table for the package's own data."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflight.catalog import loaders
from preflight.cli import main
from preflight.findings import WeightType
from tests.loaders.table import SPELLED, Answer, Table

if TYPE_CHECKING:
    from tests.loaders.run import Built

_LARGE = 1 << 30  # bytes
_KEYS = {Answer.REFUSES: "refuses", Answer.DEAD: "dead"}


def is_large(directory: Path) -> bool:
    """Whether the weights are gigabytes of holes, whose values say nothing."""
    return any(
        path.stat().st_size > _LARGE
        for path in directory.glob("*.safetensors")
        if path.is_file()
    )


def failed_codes(directory: Path, kind: WeightType, base: str) -> frozenset[str]:
    """The codes of the rules that `preflight check` sees broken."""
    words = ["check", str(directory), "-q", "--format", "json"]
    # Full weights seldom name their base, so people do.
    words += ["--base-model", base] if kind is WeightType.FULL else []
    words += ["--no-scan"] if is_large(directory) else []
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        main(words)
    outcomes = json.loads(said.getvalue())["outcomes"]
    return frozenset(one["code"] for one in outcomes if one["result"] == "failed")


def _evidence(codes: Mapping[str, frozenset[str]]) -> dict[str, list[str]]:
    """Code → the fixtures that speak for it: those that break no other rule.

    A rule that is never broken alone is judged by all fixtures that break it.
    """
    alone, together = defaultdict(list), defaultdict(list)
    for fixture, failed in sorted(codes.items()):
        # What a rule warns of in a good directory is no cause of what a loader says.
        for code in failed if not fixture.startswith("good/") else ():
            together[code].append(fixture)
            if len(failed) == 1:
                alone[code].append(fixture)
    return {code: alone.get(code) or together[code] for code in sorted(together)}


def _of_rule(table: Table, fixtures: list[str]) -> list[dict[str, Any]]:
    asked: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, str], dict[str, list[str]]] = {}
    for fixture in fixtures:
        for environment, said in table.rows[fixture].answers.items():
            for loader, (answer, _) in said.items():
                asked[environment, loader] += 1
                if key := _KEYS.get(SPELLED[answer]):
                    place = found.setdefault((environment, loader), {})
                    place.setdefault(key, []).append(fixture)
    return [
        {"environment": place[0], "loader": place[1], **said, "of": asked[place]}
        for place, said in sorted(found.items())
    ]


def write_confirmations(table: Table, built: Mapping[str, Built]) -> None:
    """Write the package's data: for each rule the loaders that fail where it does."""
    codes = {
        name: failed_codes(one.directory, one.case.kind, one.base.name)
        for name, one in built.items()
    }
    rules = {
        code: found
        for code, fixtures in _evidence(codes).items()
        if (found := _of_rule(table, fixtures))
    }
    lines = [f"  {json.dumps(code)}: {json.dumps(rules[code])}" for code in rules]
    head = {"made": table.made, "environments": table.environments}
    text = json.dumps(head)[:-1] + ', "rules": {\n' + ",\n".join(lines) + "\n}}\n"
    loaders.DATA.write_text(text, "utf-8")
