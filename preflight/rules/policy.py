"""Which rules count in a run: selected, ignored with a reason, or all made strict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from preflight.errors import UsageError
from preflight.findings import Outcome, Result, Severity, Unavailable, WeightType
from preflight.language import glued, say
from preflight.rules._rule import Rule, run_rules
from preflight.text import nearest


@dataclass(frozen=True, slots=True)
class Policy:
    """How a run treats the rules.

    `select` holds codes or beginnings of codes (empty: all), `ignore` code → reason,
    `strict` makes every warning an error.
    """

    select: tuple[str, ...] = ()
    ignore: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    strict: bool = False

    def run(
        self,
        rules: Iterable[Rule],
        facts: object,
        weight_type: WeightType | Unavailable,
    ) -> tuple[Outcome, ...]:
        """The outcomes of the selected rules, as this policy sees them."""
        selected = [
            r for r in rules if not self.select or r.code.startswith(self.select)
        ]
        found = run_rules(selected, facts, weight_type)
        return tuple(self._seen(outcome) for outcome in found)

    def _seen(self, outcome: Outcome) -> Outcome:
        if outcome.result is not Result.FAILED:
            return outcome
        if outcome.code in self.ignore:
            reason = self.ignore[outcome.code] or say("as --ignore asks")
            return replace(
                outcome,
                result=Result.SKIPPED,
                reason=say("ignored: {reason}", reason=reason),
            )
        if not self.strict:
            return outcome
        problems = tuple(replace(each, severity=None) for each in outcome.problems)
        return replace(outcome, severity=Severity.ERROR, problems=problems)


def _known(code: str, rules: Sequence[Rule], flag: str) -> str:
    wanted = code.strip().upper()
    if not wanted or not any(rule.code.startswith(wanted) for rule in rules):
        meant = nearest(wanted, [rule.code for rule in rules])
        raise UsageError(
            glued(
                say(
                    "{flag}: there is no rule {code}",
                    flag=flag,
                    code=code or say("without a name"),
                ),
                meant,
            ),
            hint=say("`preflight explain` lists all rules"),
        )
    return wanted


def make_policy(
    rules: Sequence[Rule],
    *,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    strict: bool = False,
) -> Policy:
    """A policy from the command line's words.

    `select` items are codes or families, several to one item with commas; `ignore`
    items are `CODE=reason`. Raises `UsageError` for an unknown code, and for an
    error-level rule that is ignored without a reason.
    """
    wanted = [part for item in select for part in item.split(",")]
    reasons = {}
    for item in ignore:
        code, _, reason = item.partition("=")
        code = _known(code, rules, "--ignore")
        rule = next((rule for rule in rules if rule.code == code), None)
        if rule is None:
            raise UsageError(
                say("--ignore takes whole codes such as C10, not {code}", code=code)
            )
        if rule.severity is Severity.ERROR and not reason.strip():
            raise UsageError(
                say(
                    "--ignore {code}: an error is ignored only with a reason", code=code
                ),
                hint=say("write --ignore '{code}=why it does no harm here'", code=code),
            )
        reasons[code] = reason.strip()
    return Policy(
        tuple(_known(code, rules, "--select") for code in wanted),
        MappingProxyType(reasons),
        strict,
    )
