"""The rules, one function each, gathered here in the order in which they run."""

from __future__ import annotations

from preflight.rules import (
    b_base,
    b_config,
    c_config,
    c_ranks,
    c_targets,
    c_variants,
    d_directory,
    d_files,
    d_processor,
    d_weights,
    i_index,
    k_base,
    k_full,
    k_keys,
    k_modules,
    s_container,
    s_dtypes,
    s_values,
    v_library,
    v_special_tokens,
    v_template,
    v_vocabulary,
)
from preflight.rules._rule import Rule, run_rule, run_rules

__all__ = ["RULES", "SCAN_RULES", "STATIC_RULES", "Rule", "run_rule", "run_rules"]

_FAMILIES = (
    d_directory,
    d_files,
    d_weights,
    d_processor,
    s_container,
    s_dtypes,
    i_index,
    c_config,
    c_ranks,
    c_targets,
    c_variants,
    k_keys,
    k_modules,
    k_base,
    k_full,
    v_vocabulary,
    v_template,
    v_library,
    v_special_tokens,
    b_base,
    b_config,
    s_values,
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
