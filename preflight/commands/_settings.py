"""The settings of a command, and with -v where each of them is from."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping

from preflight.api import settings_reader
from preflight.language import glued
from preflight.settings import Need, Settings
from preflight.terminal import Terminal


def read_settings(
    arguments: Namespace,
    terminal: Terminal,
    *needs: Need,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load the settings; temporary keys of a machine's role are fetched if asked for.

    Raises `ConfigurationError` when such a role has no keys to give.
    """
    settings = settings_reader(needs, environ)()
    if arguments.verbose:
        for row in settings.describe():
            shown = f"{row.shown} " if row.shown else ""
            told = glued(f"{row.name}: {shown}[", row.origin, "]")
            problem = glued("; ", row.problem) if row.problem else ""
            terminal.complain(glued(told, problem))
    return settings


def require_settings(
    arguments: Namespace, terminal: Terminal, *needs: Need
) -> Settings:
    """The same, with everything there that the command needs.

    Raises `ConfigurationError` that names all that is missing or malformed.
    """
    settings = read_settings(arguments, terminal, *needs)
    settings.require(*needs)
    return settings
