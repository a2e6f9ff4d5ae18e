"""`bases`: the base models that can be imported onto."""

from __future__ import annotations

import argparse

from preflight.commands._flags import add_format, add_wide
from preflight.report.document import envelope
from preflight.report.manual import bases_document, bases_table
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The form of the table."""
    add_format(parser)
    add_wide(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """List them."""
    if arguments.format == "json":
        terminal.show_document(envelope("bases", bases=bases_document()))
    else:
        wide = arguments.wide is not None
        terminal.show_lines(bases_table(0 if wide else terminal.width))
    return 0
