"""`show`: the map of an adapter, layers x modules, by how much each was changed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from preflight.commands._flags import add_format, add_wide
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.model.inspection import inspect
from preflight.model.updates import AdapterMap, ModuleUpdate, adapter_map
from preflight.report.document import envelope
from preflight.report.maps import map_lines
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which directory."""
    parser.add_argument(
        "model_dir", metavar="MODEL_DIR", type=Path, help="directory of an adapter"
    )
    add_format(parser)
    add_wide(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Read every matrix once and show the norms. Raises `UsageError` for no adapter."""
    found = adapter_map(inspect(arguments.model_dir))
    if isinstance(found, Unavailable):
        raise UsageError(
            f"{arguments.model_dir}: {found.reason}",
            hint="the map is that of a LoRA; `preflight check` tells what this is",
        )
    if arguments.format == "json":
        terminal.show_document(envelope("show", map=_document(found)))
    else:
        width = 0 if arguments.wide is not None else terminal.width
        marks = terminal.can_show("░▒▓█")
        terminal.show_lines(map_lines(found, width, marks=marks))
    return 0


def _document(found: AdapterMap) -> dict[str, Any]:
    cells = [found.at(layer, kind) for layer in found.layers for kind in found.kinds]
    return {
        "layers": list(found.layers),
        "kinds": list(found.kinds),
        "largest": found.largest,
        "total": found.total,
        "modules": [_module(each) for each in (*cells, *found.others)],
    }


def _module(update: ModuleUpdate) -> dict[str, Any]:
    return {
        "module": update.module,
        "layer": update.layer,
        "kind": update.kind,
        "norm": update.norm,
        "state": update.state.value,
    }
