"""The commands, one file each, and the table that names them.

A command's module has `add_arguments(parser)`, which adds its flags, and
`run(arguments, terminal)`, which does the work and returns the exit code. It is
imported only when it is asked for, so that `check` starts without the libraries that
only an upload needs.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from types import MappingProxyType
from typing import Protocol, cast

from preflight.language import say
from preflight.terminal import Terminal

COMMANDS = MappingProxyType(
    {
        "check": say("check a model directory against the import's rules; no network"),
        "fix": say("repair a model directory into a new one that passes the rules"),
        "push": say("check, upload, submit the import job, wait and report"),
        "show": say("show how much an adapter changes, layers x modules"),
        "diff": say("compare two checkpoints of an adapter"),
        "wait": say("wait for an import job that was submitted before"),
        "import": say("import what already lies in a bucket"),
        "jobs": say("list the import jobs, or show one"),
        "delete": say("delete the platform's record of a finished import job"),
        "status": say("tell how the last runs on this machine ended"),
        "verify": say("tell whether a prefix, and what came from it, is as it was"),
        "clean": say("list uploads that were never finished, and abort them"),
        "doctor": say("check settings, keys, network, clock and bucket"),
        "sandbox": say("run the fake OSS and Model Studio on this machine"),
        "explain": say("show a rule's manual page, or list all rules"),
        "bases": say("list the base models that can be imported onto"),
        "schema": say("print the JSON Schema of documents and events"),
        "mk": say("print the path of an include for Makefiles"),
        "completion": say("print completion for bash, zsh or fish"),
    }
)
"""Each command's name and what it does, in the order of the help text."""


EXAMPLES = MappingProxyType(
    {
        "check": (
            "check out/adapter",
            "check out/adapter --base-model qwen3-8b -v",
            say("check runs/checkpoint-*        # a table, the newest first"),
        ),
        "fix": (
            "fix out/adapter -o out/adapter-fixed",
            say("fix out/adapter -n                     # what would be done"),
            say("fix out/adapter -o fixed --reduce-rank # rank 128 to 64, loss told"),
        ),
        "push": (
            "push out/adapter oss://my-bucket/models/{name}-{digest}/",
            "push runs/*/adapter oss://my-bucket/sweep/{parent}-{digest}/",
            say("push -n out/adapter oss://my-bucket/models/mine/   # the plan alone"),
            say(
                "push --sandbox out/adapter                         # no account needed"
            ),
        ),
        "show": ("show out/adapter",),
        "diff": ("diff run/checkpoint-100 run/checkpoint-200",),
        "wait": ("wait 4f1c2d9a",),
        "import": ("import oss://my-bucket/models/mine/ --base-model qwen3-8b",),
        "jobs": ("jobs --status failed", "jobs 4f1c2d9a"),
        "delete": ("delete 4f1c2d9a --yes",),
        "status": ("status", "status out/adapter"),
        "verify": (
            "verify oss://my-bucket/models/mine/",
            "verify oss://my-bucket/models/mine/ out/adapter",
            "verify oss://my-bucket/models/mine/ --watch   # in a crontab",
        ),
        "clean": (
            "clean oss://my-bucket/models/",
            "clean oss://my-bucket/m/ --yes",
        ),
        "doctor": ("doctor", "doctor oss://my-bucket/models/ --fix"),
        "sandbox": ("sandbox --background",),
        "explain": ("explain", "explain C02"),
        "bases": ("bases",),
        "schema": ("schema", "schema event"),
        "mk": ("mk",),
        "completion": ('completion bash > "$BASH_COMPLETION_USER_DIR/preflight"',),
    }
)
"""How each command is called, without the word `preflight`."""


class Command(Protocol):
    """What a command's module holds."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the flags and positional arguments of the command."""

    @staticmethod
    def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
        """Do it; the exit code. Raises what `cli.main` tells in a sentence."""


def load_command(name: str) -> Command:
    """The module of a command; that of `import`, a word of Python, is `import_`."""
    file = f"{name}_" if name == "import" else name
    return cast("Command", import_module(f"preflight.commands.{file}"))
