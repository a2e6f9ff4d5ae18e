"""`completion`: a shell's completion of this command line, made from the parser."""

from __future__ import annotations

import argparse

from preflight.language import say
from preflight.terminal import Terminal

SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which shell."""
    parser.add_argument("shell", choices=SHELLS, help=say("the shell that completes"))


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print the script; the shell's manual tells where it belongs."""
    import shtab

    script = shtab.complete(arguments.whole_parser(), shell=arguments.shell)
    terminal.show(script if script.endswith("\n") else f"{script}\n")
    return 0
