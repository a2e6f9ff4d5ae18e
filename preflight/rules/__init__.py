"""The rules, one function each, gathered here in the order in which they run."""

from __future__ import annotations

from preflight.rules import (
    adapter,
    base,
    container,
    directory,
    dtypes,
    files,
    full,
    index,
    keys,
    model_config,
    modules,
    special_tokens,
    targets,
    template,
    values,
    variants,
    vocabulary,
)
from preflight.rules._rule import Rule, run_rule, run_rules

__all__ = ["RULES", "SCAN_RULES", "STATIC_RULES", "Rule", "run_rule", "run_rules"]

_FAMILIES = (
    directory,
    files,
    container,
    dtypes,
    index,
    adapter,
    targets,
    variants,
    keys,
    modules,
    full,
    vocabulary,
    template,
    special_tokens,
    base,
    model_config,
    values,
)
_SCANNED = frozenset({"values", "tower"})
"""Fields of an inspection that only the scan fills."""

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (r for family in _FAMILIES for r in vars(family).values() if type(r) is Rule),
        key=lambda found: (
            not _SCANNED.isdisjoint(found.reads),
            "DSICKVBU".index(found.code[0]),
            found.code,
        ),
    )
)
"""All rules: those that read names, JSON and headers first, then the value scan's."""

SCAN_RULES = tuple(r for r in RULES if not _SCANNED.isdisjoint(r.reads))
STATIC_RULES = tuple(r for r in RULES if _SCANNED.isdisjoint(r.reads))
