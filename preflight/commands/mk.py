"""`mk`: where the include for Makefiles is: `include $(shell preflight mk)`."""

from __future__ import annotations

import argparse
from pathlib import Path

from preflight.terminal import Terminal

INCLUDE = Path(__file__).parents[1] / "preflight.mk"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to choose."""
    del parser


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print its path, as make takes it."""
    del arguments
    terminal.show_lines([for_make(INCLUDE)])
    return 0


def for_make(path: Path) -> str:
    """A path as a word of a Makefile: make splits at spaces unless they are escaped."""
    return str(path).replace(" ", "\\ ")
