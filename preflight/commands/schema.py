"""`schema`: the JSON Schema of the documents and events, for programs."""

from __future__ import annotations

import argparse

from preflight.language import say
from preflight.report.schemas import SCHEMAS, load_schema
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of what."""
    parser.add_argument(
        "of",
        choices=SCHEMAS,
        nargs="?",
        default=SCHEMAS[0],
        help=say(
            "document: what --format json prints (default); event: a line "
            "of --progress json"
        ),
    )


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Print it (JSON Schema, draft 2020-12)."""
    terminal.show_document(load_schema(arguments.of))
    return 0
