"""`doctor`: is everything in place?"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from preflight.catalog.permissions import policy
from preflight.commands._flags import add_format
from preflight.commands._settings import read_settings
from preflight.destination import Destination, parse_destination
from preflight.doctor import Examination, Finding, Level, examine
from preflight.doctor.diagnostics import FIX_FIRST
from preflight.errors import ConfigurationError, UsageError
from preflight.language import glued, say, say_n
from preflight.report.document import envelope
from preflight.settings import Need, Settings, masked
from preflight.terminal import Terminal
from preflight.text import padded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bucket, and whether to mend its tag."""
    parser.add_argument(
        "destination",
        metavar="oss://bucket/prefix/",
        nargs="?",
        help=say("also check this bucket, and that the prefix may be written to"),
    )
    parser.add_argument(
        "--policy",
        action="store_true",
        help=say("only print the RAM policy that a push to this prefix needs"),
    )
    parser.add_argument(
        "--fix", action="store_true", help=say("set the bucket's tag if it lacks it")
    )
    add_format(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Examine; a problem's exit code is the one that a push would end with."""
    if arguments.fix and not arguments.destination:
        raise UsageError(
            say("--fix needs a bucket"),
            hint=say("preflight doctor --fix oss://bucket/prefix/"),
        )
    destination = (
        parse_destination(arguments.destination) if arguments.destination else None
    )
    if arguments.policy:
        return _show_policy(destination, terminal, tag=arguments.fix)
    settings = _settings(arguments, terminal)
    wanted = Examination(settings, dict(os.environ), destination, fix=arguments.fix)
    found = [_masked(each) for each in examine(wanted)]
    problems = [each for each in found if each.level is Level.FAIL]
    exit_code = problems[0].exit_code if problems else 0
    if arguments.format == "json":
        terminal.show_document(_document(found, exit_code))
    else:
        terminal.show_lines(_lines(found))
    return exit_code


def _show_policy(
    destination: Destination | None, terminal: Terminal, *, tag: bool
) -> int:
    if destination is None:
        raise UsageError(
            say("--policy needs a bucket"),
            hint=say("preflight doctor --policy oss://bucket/prefix/"),
        )
    terminal.show_document(policy(destination.bucket, destination.prefix, tag=tag))
    return 0


def _settings(arguments: argparse.Namespace, terminal: Terminal) -> Settings:
    try:
        return read_settings(arguments, terminal, Need.OSS)
    except ConfigurationError as error:  # a role that has no keys to give
        settings = read_settings(arguments, terminal)
        return replace(
            settings, problems={**settings.problems, "access_key_id": error.message}
        )


def _masked(finding: Finding) -> Finding:
    message, hint = masked(finding.message), masked(finding.hint)
    return replace(finding, message=message, hint=hint)


def _lines(found: Sequence[Finding]) -> Iterator[str]:
    for each in found:
        yield glued(padded(each.level.word, 5), " ", each.message)
        if each.hint:
            yield say("  try  {hint}", hint=each.hint)
        if each.request_id:
            yield say("  request id  {id}", id=each.request_id)
    count = Counter(each.level for each in found)
    sum_up = say(
        "{problems}, {warnings}, {ok} ok, {skipped} skipped",
        problems=say_n("{count} problem", "{count} problems", count=count[Level.FAIL]),
        warnings=say_n("{count} warning", "{count} warnings", count=count[Level.WARN]),
        ok=count[Level.OK],
        skipped=count[Level.SKIPPED],
    )
    blocked = any(each.message.endswith(FIX_FIRST) for each in found)
    yield glued(sum_up, ": ", FIX_FIRST) if blocked else sum_up


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
    return envelope("doctor", exit_code, findings=findings)
