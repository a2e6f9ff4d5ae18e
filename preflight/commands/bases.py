"""`bases`: the base models that can be imported onto."""

from __future__ import annotations

import argparse

from preflight.report.manual import bases_table
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """List them."""
    del arguments
    terminal.show_lines(bases_table())
    return 0
