"""The subcommands: each turns its arguments into one typed call.

A command's module is imported only when it is asked for, so that `check` starts
without the libraries that only an upload needs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from preflight.arguments import Namespace
from preflight.record import RunRecord
from preflight.terminal import Terminal

Command = Callable[[Namespace, RunRecord, Terminal], None]

_MODULES = {
    "check": "model",
    "push": "model",
    "wait": "jobs",
    "import": "imports",
    "jobs": "jobs",
    "delete": "jobs",
    "status": "status",
    "clean": "clean",
    "doctor": "doctor",
    "explain": "manual",
    "bases": "manual",
    "sandbox": "sandbox",
}


def find_command(name: str) -> Command:
    """The function `cmd_<name>` of the module that holds it."""
    module = import_module(f"preflight.commands.{_MODULES[name]}")
    command: Command = getattr(module, f"cmd_{name}")
    return command
