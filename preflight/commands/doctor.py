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
from preflight.language import ENGLISH, current_language, glued, say, say_n
from preflight.report.answer import Tone
from preflight.report.document import envelope
from preflight.settings import Need, Settings, masked
from preflight.terminal import Terminal
from preflight.text import folded, padded


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
        marks = terminal.can_show("✔✘")
        verbose = arguments.verbose > 0
        lines = _lines(found, destination, marks=marks, verbose=verbose)
        wide = (each for line in lines for each in folded(line, terminal.width))
        terminal.show_lines(wide)
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


def _lines(
    found: Sequence[Finding],
    destination: Destination | None,
    *,
    marks: bool,
    verbose: bool,
) -> Iterator[str]:
    """Problems first; what is well is listed only where it hides none of them."""
    wrong = any(each.level in (Level.FAIL, Level.WARN) for each in found)
    brief = wrong and not verbose
    for each in _joined(found):
        if brief and each.level is Level.OK:
            continue
        yield glued(padded(each.level.word, 5), " ", each.message)
        if each.hint:
            yield say("  try  {hint}", hint=each.hint)
        if each.request_id:
            yield say("  request id  {id}", id=each.request_id)
    count = Counter(each.level for each in found)
    number = count[Level.OK]
    sum_up = say(
        "{problems}, {warnings}, {ok}, {skipped} skipped",
        problems=say_n("{count} problem", "{count} problems", count=count[Level.FAIL]),
        warnings=say_n("{count} warning", "{count} warnings", count=count[Level.WARN]),
        ok=say("{count} ok (-v lists them)", count=number)
        if brief
        else say("{count} ok", count=number),
        skipped=count[Level.SKIPPED],
    )
    if any(each.message.endswith(FIX_FIRST) for each in found):
        sum_up = glued(sum_up, ": ", FIX_FIRST)
    yield from _verdict(sum_up, destination, well=not count[Level.FAIL], marks=marks)


def _verdict(
    sum_up: str, destination: Destination | None, *, well: bool, marks: bool
) -> Iterator[str]:
    """The answer, and what to do now."""
    where = destination.url if destination else ""
    tone = Tone.GOOD if well else Tone.BAD
    word = say("READY") if well else say("NOT READY")
    yield glued(tone.mark(marks=marks), " ", word, "  ", sum_up)
    if not well:
        again = f"preflight doctor {where}".rstrip()
        yield say("next  mend it as named above, then: {command}", command=again)
        return
    command = f"push MODEL_DIR {where}" if where else "doctor oss://BUCKET/PREFIX/"
    yield say("next  preflight {command}", command=command)


_MAY = " may be "


def _joined(found: Sequence[Finding]) -> Iterator[Finding]:
    """What is allowed in one place as one line, not as six."""
    last: Finding | None = None
    if current_language() != ENGLISH:  # whose words are joined so
        yield from found
        return
    for each in found:
        where, may, what = each.message.partition(_MAY)
        joins = each.level is Level.OK and may and last is not None
        if joins and last is not None and last.message.startswith(f"{where}{_MAY}"):
            last = replace(last, message=f"{last.message}, {what}")
            continue
        if last is not None:
            yield last
        last = each
    if last is not None:
        yield last


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
