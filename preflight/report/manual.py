"""The manual that is in the code: rules and base models, as pages and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from preflight.catalog.base_models import load_bases
from preflight.catalog.loaders import load_confirmations
from preflight.errors import UsageError
from preflight.findings import WeightType
from preflight.language import ENGLISH, current_language, glued, say
from preflight.repair import repairs_for
from preflight.report import PROSE
from preflight.report.tables import table
from preflight.rules import RULES, Rule
from preflight.text import columns, folded, nearest

_TITLE = re.compile(r"[A-Z][a-z]+: ")  # such as `Causes: `


def _scope(rule: Rule) -> str:
    return "both" if len(rule.applies) > 1 else next(iter(rule.applies)).value


def _told_scope(rule: Rule) -> str:
    return say("both") if len(rule.applies) > 1 else _scope(rule)


def rules_table(width: int = 0) -> Iterator[str]:
    """One line for each rule: code, severity, kind of weights, name."""
    heading = (say("code"), say("severity"), say("weights"), say("rule"))
    rows = [(r.code, r.severity.word, _told_scope(r), r.name) for r in RULES]
    return table([heading, *rows], width)


def find_rule(code: str) -> Rule:
    """A rule by its code or name. Raises `UsageError` for an unknown one."""
    wanted = code.strip().upper()
    for rule in RULES:
        if wanted in (rule.code, rule.name.upper()):
            return rule
    known = [name for rule in RULES for name in (rule.code, rule.name)]
    meant = nearest(wanted, known) or nearest(code.strip().lower(), known)
    if found := re.fullmatch(r"([A-Z])(\d)", wanted):  # C2 for C02
        meant = nearest(f"{found[1]}0{found[2]}", known)
    raise UsageError(
        glued(say("there is no rule {code}", code=code), meant),
        hint=say("`preflight explain` lists all rules"),
    )


def manual_page(code: str, width: int = 0) -> Iterator[str]:
    """All that is known of one rule, in lines of at most `width` columns (0: any).

    Raises `UsageError` for an unknown code.
    """
    return _page(find_rule(code), width)


def rules_document(code: str | None) -> list[dict[str, Any]]:
    """The same for programs, of one rule or of all of them."""
    return [
        {
            "code": rule.code,
            "name": rule.name,
            "severity": rule.severity.value,
            "weights": _scope(rule),
            "manual": rule.manual,
            "fix": rule.fix,
            "repairs": [
                {"name": one.name, "about": one.about, "flag": one.flag}
                for one in repairs_for(rule.code)
            ],
        }
        for rule in ([find_rule(code)] if code else RULES)
    ]


def bases_document() -> list[dict[str, Any]]:
    """The base models for programs."""
    return [
        {
            "code": base.code,
            "hub_id": base.hub_id,
            "imports": [k.value for k in WeightType if k in base.importable],
            "layers": base.layers,
            "hidden_size": base.hidden_size,
            "source": base.source,
            "date": base.date,
        }
        for base in load_bases().values()
    ]


def _page(rule: Rule, width: int) -> Iterator[str]:
    about = say(
        "{code} {name} ({severity}, {scope} weights)",
        code=rule.code,
        name=rule.name,
        severity=rule.severity.word,
        scope=_told_scope(rule),
    )
    manual = rule.manual.splitlines()
    if current_language() != ENGLISH:
        manual = list(rule.paragraphs)
        width = min(width, PROSE) if width else PROSE
    elif width and max(map(columns, manual)) > width:
        manual = _flowing(manual)
    fix = (say("Fix: {fix}", fix=rule.fix), "", *_repairs(rule), *_loaders(rule.code))
    for line in (about, "", *manual, "", *fix):
        yield from folded(line, width)


def _repairs(rule: Rule) -> Iterator[str]:
    for one in repairs_for(rule.code):
        command = f"preflight fix {one.flag}".rstrip()
        told = say("Repair ({command}): {about}", command=command, about=one.about)
        if not one.is_lossless:
            told = say(
                "Repair ({command}, at a loss that is measured): {about}",
                command=command,
                about=one.about,
            )
        yield told
        yield ""


def _flowing(lines: list[str]) -> list[str]:
    """Each paragraph, cause list and source on a line of its own."""
    told: list[str] = []
    for line in lines:
        if told and told[-1] and line and not _TITLE.match(line):
            told[-1] += f" {line.strip()}"
        else:
            told.append(line)
    return told


def _loaders(code: str) -> Iterator[str]:
    """What real loaders do with directories that break the rule."""
    found = load_confirmations().get(code)
    if not found:
        yield say("Loaders: none of those asked confirms it; see the source.")
        return
    yield say("Loaders that were given directories that break it:")
    yield from (glued("  ", str(confirmation)) for confirmation in found)


def bases_table(width: int = 0) -> Iterator[str]:
    """One line for each base model and what can be imported onto it."""
    heading = (
        say("base model"),
        say("hub id"),
        say("imports"),
        say("layers"),
        say("hidden"),
        say("source"),
    )
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
    return table([heading, *rows], width)
