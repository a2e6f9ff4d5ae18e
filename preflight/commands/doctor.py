"""`doctor`: is everything in place?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from preflight.arguments import Namespace
from preflight.commands.given import read_settings
from preflight.destination import parse_destination
from preflight.doctor import Examination, Finding, Level, examine
from preflight.errors import ConfigurationError, UsageError
from preflight.record import RunRecord
from preflight.settings import Need, Settings
from preflight.terminal import Terminal

_SCHEMA = 1


def cmd_doctor(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Examine; a problem's exit code is the one that a push would end with."""
    if args.fix and not args.destination:
        raise UsageError(
            "--fix needs a bucket", hint="preflight doctor --fix oss://bucket/prefix/"
        )
    destination = parse_destination(args.destination) if args.destination else None
    settings = _settings(args, screen)
    visit = Examination(settings, dict(os.environ), destination, fix=args.fix)
    found = [_masked(each, settings.secrets()) for each in examine(visit)]
    problems = [each for each in found if each.level is Level.FAIL]
    record.exit_code = problems[0].exit_code if problems else 0
    if args.format == "json":
        screen.show_document(_document(found, record.exit_code))
    else:
        screen.show_lines(_lines(found))


def _settings(args: Namespace, screen: Terminal) -> Settings:
    try:
        return read_settings(args, screen, needs=(Need.OSS,))
    except ConfigurationError as error:  # a role that has no keys to give
        settings = read_settings(args, screen, needs=())
        return replace(
            settings, problems={**settings.problems, "access_key_id": error.message}
        )


def _masked(finding: Finding, secrets: Sequence[str]) -> Finding:
    message, hint = finding.message, finding.hint
    for secret in secrets:
        message, hint = message.replace(secret, "***"), hint.replace(secret, "***")
    return replace(finding, message=message, hint=hint)


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    for each in found:
        yield f"{each.level.value:5} {each.message}"
        if each.hint:
            yield f"  try  {each.hint}"
        if each.request_id:
            yield f"  request id  {each.request_id}"
    count = Counter(each.level for each in found)
    yield (
        f"{_number(count[Level.FAIL], 'problem')}, "
        f"{_number(count[Level.WARN], 'warning')}, "
        f"{count[Level.OK]} in order, {count[Level.SKIPPED]} not looked at"
    )


def _number(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _document(found: Sequence[Finding], exit_code: int) -> dict[str, Any]:
    findings = [
        {
            "level": each.level.value,
            "message": each.message,
            "hint": each.hint,
            "request_id": each.request_id,
        }
        for each in found
    ]
    return {"schema": _SCHEMA, "exit_code": exit_code, "findings": findings}
