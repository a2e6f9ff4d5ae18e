"""The map of what training changed, on a terminal: modules x layers, in shades.

Where there is no terminal, or numbers are asked for, it is a table of layers x modules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from preflight.language import glued, say
from preflight.language import joined as glue_all
from preflight.model.update_map import CellState, ModuleUpdate, UpdateMap
from preflight.report.tables import table
from preflight.text import columns, cut, folded, padded

_SHADES = "░▒▓█"
_PLAIN = ".:*#"
MARKS = {
    CellState.ZERO: "0",
    CellState.UNCHANGED: "=",
    CellState.NOT_FINITE: "!",
    CellState.MISSING: "-",
    CellState.UNREADABLE: "?",
    CellState.NOT_IN_BASE: "+",
}
_LABEL = 24  # columns of a module's name at most
_EVERY = 10  # layers between two numbers on the axis


def heat_lines(found: UpdateMap, width: int, *, marks: bool = True) -> Iterator[str]:
    """A line a module, a character a layer; of many layers neighbours are joined.

    `width`: columns of the terminal; `marks`: whether shades can be shown.
    """
    shades = _SHADES if marks else _PLAIN
    names = short_names(found.kinds)
    label = min(_LABEL, max(map(columns, names), default=0))
    ranges = [_range(found, kind) for kind in found.kinds]
    room = width - label - 2
    beside = 2 + max(map(columns, ranges), default=0)
    if len(found.layers) > room - beside:
        beside, ranges = 0, [""] * len(ranges)
    joined = max(1, -(-len(found.layers) // max(1, room - beside)))
    groups = [
        found.layers[at : at + joined] for at in range(0, len(found.layers), joined)
    ]
    if groups:
        layer = say("layer")
        yield f"{padded(layer, label)}  {_axis(groups)}"
    for kind, name, told in zip(found.kinds, names, ranges, strict=True):
        cells = "".join(_group(found, group, kind, shades) for group in groups)
        line = f"{padded(cut(name, label), label)}  {cells}"
        yield glued(line, "  ", told) if told else line.rstrip()
    yield ""
    if joined > 1:
        yield say("one character is {count} layers: the most of them", count=joined)
    for line in _legend(found, shades):
        yield from folded(line, width)


def _axis(groups: Sequence[Sequence[int]]) -> str:
    text = ""
    for at, group in enumerate(groups):
        if at % _EVERY == 0:
            text = f"{text:{at}}{group[0]}"
    return text


def _group(
    found: UpdateMap, group: Sequence[int], kind: str, shades: Sequence[str]
) -> str:
    cells = [found.at(layer, kind) for layer in group]
    marked = [cell for cell in cells if cell.state in MARKS]
    if marked:
        return MARKS[marked[0].state]
    return _shade(max(cell.norm for cell in cells), found.largest, shades)


def _shade(norm: float, largest: float, shades: Sequence[str]) -> str:
    level = int(len(shades) * norm / largest) if largest else 0
    return shades[min(level, len(shades) - 1)]


def _range(found: UpdateMap, kind: str) -> str:
    norms = [found.at(layer, kind).norm for layer in found.layers]
    low, high = amount(found, min(norms)), amount(found, max(norms))
    return low if low == high else say("{low} to {high}", low=low, high=high)


def amount(found: UpdateMap, norm: float) -> str:
    """A norm of this map: a share of the base's own, or a number."""
    return percent(norm) if found.relative else number(norm)


def number(norm: float) -> str:
    """Three digits, without the exponents that nobody reads."""
    if norm and not 1e-3 <= norm < 1e6:
        return f"{norm:.1e}"
    digits = max(0, 3 - len(str(int(norm)))) if norm >= 1 else 4
    return f"{norm:.{digits}f}" if norm else "0"


def table_lines(
    found: UpdateMap, width: int = 0, *, marks: bool = True
) -> Iterator[str]:
    """One line a layer, one column a module, each with its norm.

    `width` 0 is without a limit; `marks`: whether shades can be shown.
    """
    shades = _SHADES if marks else _PLAIN
    rows = [[say("layer"), *short_names(found.kinds)]]
    for layer in found.layers:
        cells = (found.at(layer, kind) for kind in found.kinds)
        rows.append([str(layer), *(_cell(found, cell, shades) for cell in cells)])
    yield from table(rows, width)
    yield ""
    for line in _legend(found, shades):
        yield from folded(line, width)


def short_names(kinds: Sequence[str]) -> list[str]:
    """`self_attn.q_proj` as `q_proj` where no other module ends so."""
    short = [kind.rpartition(".")[2] for kind in kinds]
    often = Counter(short)
    return [
        name if often[name] == 1 else kind.replace(".*.", " ")
        for name, kind in zip(short, kinds, strict=True)
    ]


def _cell(found: UpdateMap, update: ModuleUpdate, shades: Sequence[str]) -> str:
    if update.state in MARKS:
        return MARKS[update.state] * 3
    norm = percent(update.norm) if found.relative else f"{update.norm:.2g}"
    return f"{_shade(update.norm, found.largest, shades) * 3} {norm}"


def _legend(found: UpdateMap, shades: Sequence[str]) -> Iterator[str]:
    states = Counter(
        found.at(layer, kind).state for layer in found.layers for kind in found.kinds
    )
    if found.largest:
        step = found.largest / len(shades)
        parts = [
            say("{shade} to {norm}", shade=shade, norm=amount(found, step * n))
            for n, shade in enumerate(shades, 1)
        ]
        marked = [glued(m, " ", s.word) for s, m in MARKS.items() if states[s]]
        yield say("shades  {shades}", shades=glue_all("  ", [*parts, *marked]))
    elif states:
        marked = [glued(m, " ", s.word) for s, m in MARKS.items() if states[s]]
        yield say("marks   {marks}", marks=glue_all("  ", marked))
    if found.others:
        names = short_names([other.kind for other in found.others])
        told = map(_beside, [found] * len(names), names, found.others)
        yield say("beside the layers  {modules}", modules=glue_all(", ", told))
    yield glued(sum_of(found), ": ", _counted(found))


def _beside(found: UpdateMap, name: str, other: ModuleUpdate) -> str:
    norm = amount(found, other.norm)
    trained = other.state in (CellState.TRAINED, CellState.CHANGED)
    return glued(name, " ", norm if trained else other.state.word)


def sum_of(found: UpdateMap) -> str:
    """What the norms are, in one clause."""
    if found.relative:
        share = percent(found.total)
        return say("changed by {share} of the base's norm", share=share)
    return say("norm of the whole update {norm}", norm=number(found.total))


def percent(share: float) -> str:
    """A share as a percentage of two digits."""
    value = 100 * share
    if value >= 10:
        return f"{value:,.0f} %"
    return f"{value:.1f} %" if value >= 0.1 else f"{value:.2g} %"


def _counted(found: UpdateMap) -> str:
    cells = [found.at(layer, kind) for layer in found.layers for kind in found.kinds]
    states = Counter(cell.state for cell in cells)
    told = [
        say("{count:,} {state}", count=states[state], state=state.word)
        for state in CellState
        if states[state]
    ]
    return glue_all(", ", told) if told else say("no module in a numbered layer")
