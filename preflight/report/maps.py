"""The map of an adapter on a terminal: layers x modules, shaded by the norm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from preflight.model.updates import AdapterMap, CellState, ModuleUpdate
from preflight.report.tables import table

_SHADES = " ░▒▓█"
_PLAIN = ".:*%#"
_MARKS = {
    CellState.ZERO: "0",
    CellState.NOT_FINITE: "!",
    CellState.MISSING: "-",
    CellState.UNREADABLE: "?",
}


def map_lines(
    found: AdapterMap, width: int = 0, *, marks: bool = True
) -> Iterator[str]:
    """One line a layer, one column a module, and what the shades stand for.

    `width` 0 is without a limit; `marks`: whether shades can be shown.
    """
    shades = _SHADES if marks else _PLAIN
    rows = [["layer", *map(_short, found.kinds)]]
    for layer in found.layers:
        cells = (found.at(layer, kind) for kind in found.kinds)
        rows.append([str(layer), *(_cell(c, found.largest, shades) for c in cells)])
    yield from table(rows, width)
    step = found.largest / len(shades)
    yield ""
    parts = [f"{shade * 3} to {step * n:.2g}" for n, shade in enumerate(shades, 1)]
    yield f"shades  {'  '.join(parts)}"
    yield from _others(found)
    yield _sum(found)


def _short(kind: str) -> str:
    """`self_attn.q_proj` as `q_proj`: the columns have to fit side by side."""
    return kind.rpartition(".")[2]


def _cell(update: ModuleUpdate, largest: float, shades: Sequence[str]) -> str:
    if update.state in _MARKS:
        return _MARKS[update.state] * 3
    level = int(len(shades) * update.norm / largest) if largest else 0
    return shades[min(level, len(shades) - 1)] * 3 + f" {update.norm:.2g}"


def _others(found: AdapterMap) -> Iterator[str]:
    for other in found.others:
        yield f"  {other.module}: {other.norm:.3g} ({other.state.value})"


def _sum(found: AdapterMap) -> str:
    cells = [found.at(layer, kind) for layer in found.layers for kind in found.kinds]
    states = Counter(cell.state for cell in cells)
    told = ", ".join(
        f"{states[state]:,} {state.value}" for state in CellState if states[state]
    )
    legend = {state: mark for state, mark in _MARKS.items() if states[state]}
    marked = "".join(f"; {mark} {state.value}" for state, mark in legend.items())
    total = f"norm of all {found.total:.3g}, largest {found.largest:.3g}"
    return f"{total}; {told}{marked}"
