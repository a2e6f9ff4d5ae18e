"""`show`: the map of what training changed, layers x modules."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from preflight.commands._flags import add_base_dir, add_format, add_wide
from preflight.errors import UsageError
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.base_choice import Request
from preflight.model.inspection import Inspection, inspect
from preflight.model.update_map import ModuleUpdate, UpdateMap
from preflight.pipeline.checked import measured
from preflight.record import Gatherer, RunRecord
from preflight.report.document import envelope
from preflight.report.maps import heat_lines, table_lines
from preflight.report.subject import subject_of
from preflight.terminal import Terminal


class _Watched(Gatherer):
    """Reading 16 GB takes a while: its progress is shown."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(RunRecord("show"))
        self.progress = terminal.progress  # type: ignore[method-assign]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which directory, and the base of full weights."""
    parser.add_argument(
        "model_dir",
        metavar="MODEL_DIR",
        type=Path,
        help=say("directory of an adapter, or of full weights whose base is at hand"),
    )
    add_base_dir(parser)
    add_format(parser)
    add_wide(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Read all weights once and show the norms. Raises `UsageError` for no map."""
    request = Request(base_model=arguments.base_model, base_dir=arguments.base_dir)
    inspected = inspect(arguments.model_dir, request)
    found = measured(inspected, _Watched(terminal))
    if isinstance(found, Unavailable):
        raise UsageError(
            say(
                "{directory} has no map: {reason}",
                directory=arguments.model_dir,
                reason=found.reason,
            ),
            hint=_hint(inspected),
        )
    if arguments.format == "json":
        terminal.show_document(envelope("show", map=_document(found)))
        return 0
    marks = terminal.can_show("░▒▓█·")
    about = subject_of(
        inspected, str(arguments.model_dir), terminal.width, "·" if marks else "|"
    )
    wide = arguments.wide is not None or not terminal.width
    lines = (
        table_lines(found, marks=marks)
        if wide
        else heat_lines(found, terminal.width, marks=marks)
    )
    terminal.show_lines([about, "", *lines])
    return 0


def _hint(found: Inspection) -> str:
    if found.weight_type is WeightType.FULL:
        return say("--base-dir DIR names a copy of the base to compare with")
    return say("`preflight check` tells what this directory is")


def _document(found: UpdateMap) -> dict[str, Any]:
    cells = [found.at(layer, kind) for layer in found.layers for kind in found.kinds]
    return {
        "measure": "change" if found.relative else "update",
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
