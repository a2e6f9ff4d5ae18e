"""`explain` and `bases`: the manual that is in the code."""

from __future__ import annotations

from preflight.arguments import Namespace
from preflight.record import RunRecord
from preflight.report.manual import bases_table, manual_page, rules_table
from preflight.terminal import Terminal


def cmd_explain(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Print a rule's manual page, or one line for each rule."""
    del record

    screen.show_lines(manual_page(args.code) if args.code else rules_table())


def cmd_bases(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """List the base models that can be imported onto."""
    del args, record

    screen.show_lines(bases_table())
