"""`explain`: a rule's manual page, or one line for each rule."""

from __future__ import annotations

import argparse

from preflight.report.manual import manual_page, rules_table
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which rule."""
    parser.add_argument("code", metavar="CODE", nargs="?", help="a rule, such as C02")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print it; raises `UsageError` for an unknown rule."""
    code = arguments.code
    terminal.show_lines(manual_page(code) if code else rules_table())
    return 0
