"""The map of what training changed, as values for the page: a strip for each module."""

from __future__ import annotations

from collections import Counter
from typing import Any

from preflight.language import glued, joined, say
from preflight.model.update_map import CellState, ModuleUpdate, UpdateMap
from preflight.report.maps import MARKS, amount, short_names

_LEVELS = 9  # shades
_TICKS = 9  # numbers on the axis, at most
_CLASSES = {
    CellState.ZERO: "zero",
    CellState.UNCHANGED: "same",
    CellState.NOT_FINITE: "nonfinite",
    CellState.MISSING: "missing",
    CellState.UNREADABLE: "unread",
    CellState.NOT_IN_BASE: "unread",
}
_GOOD = (CellState.TRAINED, CellState.CHANGED)


def map_values(found: UpdateMap) -> dict[str, Any]:
    """Everything that is drawn, and each picture in words."""
    names = short_names(found.kinds)
    cells = [found.at(layer, kind) for kind in found.kinds for layer in found.layers]
    states = Counter(cell.state for cell in cells)
    pairs = list(zip(names, found.kinds, strict=True))
    return {
        "title": say("Change map") if found.relative else say("Adapter map"),
        "told": _told(found, states),
        "axis": _axis(found.layers),
        "rows": [_row(found, name, kind) for name, kind in pairs],
        "largest": amount(found, found.largest) if found.largest else "",
        "marks": [
            {"css": css, "mark": MARKS[state], "text": state.word}
            for state, css in _CLASSES.items()
            if states[state]
        ],
        "others": [
            {"name": name, "text": _text(found, other)}
            for name, other in zip(
                short_names([other.kind for other in found.others]),
                found.others,
                strict=True,
            )
        ],
        "table": [
            {
                "layer": str(layer),
                "cells": [_text(found, found.at(layer, kind)) for kind in found.kinds],
            }
            for layer in found.layers
        ],
    }


def _told(found: UpdateMap, states: Counter[CellState]) -> str:
    count = sum(states[state] for state in _GOOD)
    total = f"{count:,}", f"{sum(states.values()):,}"
    if found.relative:
        return say(
            "How far training moved each module from the base, as a share of the "
            "base's own norm, ‖W - W₀‖ / ‖W₀‖: {share} over all, {count} of {total} "
            "modules changed.",
            share=amount(found, found.total),
            count=total[0],
            total=total[1],
        )
    return say(
        "How much each module changes: the norm of its update ‖B·A‖, scaled by alpha "
        "and rank. Norm of the whole {norm}; {count} of {total} modules trained.",
        norm=amount(found, found.total),
        count=total[0],
        total=total[1],
    )


def _axis(layers: tuple[int, ...]) -> list[str]:
    """The number of every so many layers, nothing between."""
    step = max(1, -(-len(layers) // _TICKS))
    step = next((nice for nice in (1, 2, 4, 5, 8, 10) if nice >= step), step)
    return [str(n) if at % step == 0 else "" for at, n in enumerate(layers)]


def _row(found: UpdateMap, name: str, kind: str) -> dict[str, Any]:
    cells = [found.at(layer, kind) for layer in found.layers]
    good = [cell for cell in cells if cell.state in _GOOD]
    low = min((cell.norm for cell in good), default=0.0)
    high = max((cell.norm for cell in good), default=0.0)
    span = _span(amount(found, low), amount(found, high)) if good else ""
    return {
        "name": name,
        "range": span,
        "told": _row_told(name, cells, span, len(good)),
        "cells": [_cell(found, name, cell) for cell in cells],
    }


def _span(low: str, high: str) -> str:
    return low if low == high else say("{low} to {high}", low=low, high=high)


def _row_told(name: str, cells: list[ModuleUpdate], span: str, good: int) -> str:
    """The strip in words, for those who do not see it."""
    states = Counter(cell.state for cell in cells)
    parts = [glued(f"{states[s]} ", s.word) for s in _CLASSES if states[s]]
    if good:
        parts.insert(0, glued(f"{good} ", CellState.TRAINED.word, ": ", span))
    return glued(name, ": ", joined(", ", parts))


def _cell(found: UpdateMap, name: str, update: ModuleUpdate) -> dict[str, str]:
    title = glued(f"{name} {update.layer}: ", _text(found, update))
    if update.state in _CLASSES:
        css, mark = _CLASSES[update.state], MARKS[update.state]
        return {"css": css, "mark": mark, "title": title}
    share = update.norm / found.largest if found.largest else 0.0
    level = min(_LEVELS - 1, int(_LEVELS * share))
    return {"css": f"l{level}", "mark": "", "title": title}


def _text(found: UpdateMap, update: ModuleUpdate) -> str:
    if update.state in _GOOD:
        return amount(found, update.norm)
    return update.state.word
