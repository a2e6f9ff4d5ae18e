"""`explain`: a rule's manual page, or one line for each rule."""

from __future__ import annotations

import argparse

from preflight.commands._flags import add_format
from preflight.language import say
from preflight.report.document import envelope
from preflight.report.manual import manual_page, rules_document, rules_table
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which rule."""
    parser.add_argument(
        "code", metavar="CODE", nargs="?", help=say("a rule, such as C02")
    )
    add_format(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print it; raises `UsageError` for an unknown rule."""
    code = arguments.code
    if arguments.format == "json":
        terminal.show_document(envelope("explain", rules=rules_document(code)))
    else:
        width = terminal.width
        lines = manual_page(code, width) if code else rules_table(width)
        terminal.show_lines(lines)
    return 0
