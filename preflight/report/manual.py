"""The manual that is in the code: rules and base models, as pages and tables."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.catalog.bases import load_bases
from preflight.errors import UsageError
from preflight.findings import WeightType
from preflight.report.tables import table
from preflight.rules import RULES, Rule


def _scope(rule: Rule) -> str:
    return "both" if len(rule.applies) > 1 else next(iter(rule.applies)).value


def rules_table() -> Iterator[str]:
    """One line for each rule: code, severity, kind of weights, name."""
    heading = ("code", "severity", "weights", "rule")
    rows = [(r.code, r.severity.value, _scope(r), r.name) for r in RULES]
    return table([heading, *rows])


def manual_page(code: str) -> Iterator[str]:
    """All that is known of one rule. Raises `UsageError` for an unknown code."""
    wanted = code.strip().upper()
    for rule in RULES:
        if wanted in (rule.code, rule.name.upper()):
            return _page(rule)
    raise UsageError(
        f"there is no rule {code}", hint="`preflight explain` lists all rules"
    )


def _page(rule: Rule) -> Iterator[str]:
    yield f"{rule.code} {rule.name} ({rule.severity.value}, {_scope(rule)} weights)"
    yield ""
    yield from rule.manual.splitlines()
    yield ""
    yield f"Fix: {rule.fix}"


def bases_table() -> Iterator[str]:
    """One line for each base model and what can be imported onto it."""
    heading = ("base model", "hub id", "imports", "layers", "hidden", "source")
    rows = [
        (
            base.code,
            base.hub_id,
            "+".join(kind.value for kind in WeightType if kind in base.importable),
            str(base.layers),
            str(base.hidden_size),
            base.date,
        )
        for base in load_bases().values()
    ]
    return table([heading, *rows])
