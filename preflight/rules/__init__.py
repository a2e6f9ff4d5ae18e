"""The rules, one function each, gathered here in the order in which they run."""

from __future__ import annotations

from preflight.rules import (
    adapter,
    base,
    container,
    dtypes,
    directory,
    files,
    keys,
    targets,
    values,
    variants,
)
from preflight.rules._rule import Rule, run_rule, run_rules

__all__ = ["RULES", "SCAN_RULES", "STATIC_RULES", "Rule", "run_rule", "run_rules"]

_FAMILIES = (directory, files, container, dtypes, adapter, targets, variants, keys, base, values)

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (r for family in _FAMILIES for r in vars(family).values() if type(r) is Rule),
        key=lambda found: (
            "values" in found.reads,
            "DSICKVBU".index(found.code[0]),
            found.code,
        ),
    )
)
"""All rules: those that read names, JSON and headers first, then the value scan's."""

SCAN_RULES = tuple(r for r in RULES if "values" in r.reads)
STATIC_RULES = tuple(r for r in RULES if "values" not in r.reads)
