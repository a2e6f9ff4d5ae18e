"""`diff`: two checkpoints: config, norms and direction of what was trained."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from preflight.commands._flags import add_base_dir, add_format, add_wide
from preflight.errors import UsageError
from preflight.language import say
from preflight.model.base_choice import Request
from preflight.model.differences import Difference, NotComparable, difference
from preflight.model.inspection import inspect
from preflight.model.updates import UpdatePair
from preflight.report.differences import difference_lines
from preflight.report.document import envelope
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which two."""
    parser.add_argument(
        "first", metavar="A", type=Path, help=say("an adapter, or full weights")
    )
    parser.add_argument(
        "second", metavar="B", type=Path, help=say("another of its kind")
    )
    add_base_dir(parser)
    add_format(parser)
    add_wide(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Compare; 0 also where they differ. Raises `UsageError` for what are no two."""
    request = Request(base_model=arguments.base_model, base_dir=arguments.base_dir)
    one, other = (
        inspect(each, request) for each in (arguments.first, arguments.second)
    )
    try:
        found = difference(one, other)
    except NotComparable as cause:
        raise UsageError(
            str(cause), hint=say("`preflight check` tells what a directory is")
        ) from cause
    if arguments.format == "json":
        terminal.show_document(envelope("diff", difference=_document(found)))
    else:
        wide = arguments.wide is not None or not terminal.width
        width = 0 if wide else terminal.width
        names = (str(arguments.first), str(arguments.second))
        terminal.show_lines(difference_lines(found, names, width))
    return 0


def _document(found: Difference) -> dict[str, Any]:
    return {
        "measure": found.measure.value,
        "config": {
            field: {"first": pair[0], "second": pair[1]}
            for field, pair in found.config.items()
        },
        "only_first": list(found.only_first),
        "only_second": list(found.only_second),
        "modules": [_module(pair) for pair in found.pairs],
    }


def _module(pair: UpdatePair) -> dict[str, Any]:
    return {
        "module": pair.module,
        "first": _number(pair.before),
        "second": _number(pair.after),
        "cosine": pair.cosine,
        "change": pair.change,
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
