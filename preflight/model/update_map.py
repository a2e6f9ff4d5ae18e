"""The map of what training changed: layers x modules, a norm in each cell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from preflight.language import say
from preflight.model.lora import LayerPath
from preflight.model.vision_tower import is_visual

VISION = say("vision tower")


class CellState(str, Enum):
    """What can be said of a module: of an adapter's update, or against the base."""

    TRAINED = "trained"
    CHANGED = "changed"
    ZERO = "zero"
    UNCHANGED = "unchanged"
    MISSING = "missing"
    UNREADABLE = "cannot be read"
    NOT_FINITE = "not finite"
    NOT_IN_BASE = "not in the base"

    @property
    def word(self) -> str:
        """It for people."""
        return _WORDS[self]


_WORDS = {
    CellState.TRAINED: say("trained"),
    CellState.CHANGED: say("changed"),
    CellState.ZERO: say("zero"),
    CellState.UNCHANGED: say("unchanged"),
    CellState.MISSING: say("missing"),
    CellState.UNREADABLE: say("cannot be read"),
    CellState.NOT_FINITE: say("not finite"),
    CellState.NOT_IN_BASE: say("not in the base"),
}


_MILDEST_FIRST = (
    CellState.ZERO,
    CellState.UNCHANGED,
    CellState.TRAINED,
    CellState.CHANGED,
    CellState.NOT_IN_BASE,
    CellState.MISSING,
    CellState.UNREADABLE,
    CellState.NOT_FINITE,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """The sum of squares of one module's change; `base` is that of the base's weights.

    Without a base to relate it to (an adapter) `base` is None.
    """

    module: str
    layer: int | None
    kind: str
    square: float = 0.0
    base: float | None = None
    state: CellState = CellState.TRAINED


@dataclass(frozen=True, slots=True)
class ModuleUpdate:
    """The update of one module: its `norm` is 0 where nothing was changed or known."""

    module: str
    layer: int | None
    kind: str
    norm: float
    state: CellState


@dataclass(frozen=True, slots=True)
class UpdateMap:
    """Layers x kinds of modules; experts of one layer are one cell, summed up.

    `others` are modules in no numbered layer, and the vision tower as a whole. `total`
    is the norm of the whole update. `relative`: the norms are shares of the base's
    own, ‖W - W₀‖ / ‖W₀‖; else they are ‖B·A‖, scaled by alpha and rank.
    """

    layers: tuple[int, ...]
    kinds: tuple[str, ...]
    cells: Mapping[tuple[int, str], ModuleUpdate]
    others: tuple[ModuleUpdate, ...] = ()
    total: float = 0.0
    relative: bool = False

    def at(self, layer: int, kind: str) -> ModuleUpdate:
        """The cell; one that no tensor is of is `MISSING`."""
        missing = ModuleUpdate("", layer, kind, 0.0, CellState.MISSING)
        return self.cells.get((layer, kind), missing)

    @property
    def largest(self) -> float:
        """The greatest norm of all cells."""
        return max((cell.norm for cell in self.cells.values()), default=0.0)


def place_of(module: str, path: LayerPath | None) -> tuple[int | None, str]:
    """The layer and the kind of a module; a tower of its own is one place."""
    if is_visual(module):
        return None, VISION
    return (path.numbers[0], path.kind) if path else (None, module)


_LAYER = re.compile(r"^(?P<prefix>(?:.*?\.)?)(?P<layer>[0-9]{1,9})\.(?P<rest>[^.].*)$")
_NUMBER = re.compile(r"(?<=\.)[0-9]{1,9}(?=\.|$)")
_PARAMETER = re.compile(r"\.(weight|bias)$")
_LONGEST = 2000  # characters of a name that is looked at


def place_of_tensor(name: str) -> tuple[int | None, str]:
    """The same for a tensor of full weights; weight and bias are one module."""
    module = _PARAMETER.sub("", name)
    if is_visual(module):
        return None, VISION
    match = _LAYER.match(module) if len(module) < _LONGEST else None
    if match is None:
        return None, module
    return int(match["layer"]), _NUMBER.sub("*", match["rest"])


@dataclass(slots=True)
class _Sum:
    """What has come together in one cell."""

    module: str
    square: float = 0.0
    base: float | None = None
    states: set[CellState] = field(default_factory=set)

    def add(self, each: Measured) -> None:
        self.square += each.square
        if each.base is not None:
            self.base = (self.base or 0.0) + each.base
        self.states.add(each.state)

    @property
    def norm(self) -> float:
        return _norm(self.square, self.base)

    @property
    def state(self) -> CellState:
        return max(self.states, key=_MILDEST_FIRST.index)


def _norm(square: float, base: float | None) -> float:
    if base is None or not square:
        return math.sqrt(max(0.0, square))
    return math.sqrt(square / base) if base else 1.0


def arranged(measured: Iterable[Measured], *, relative: bool = False) -> UpdateMap:
    """The map of all modules; those of one layer and kind are summed up.

    The worse state stands: a layer of experts is trained when one of them is.
    """
    sums: dict[tuple[int | None, str], _Sum] = {}
    for each in measured:
        key = (each.layer, each.kind)
        sums.setdefault(key, _Sum(each.module)).add(each)
    cells = {
        key: ModuleUpdate(found.module, *key, found.norm, found.state)
        for key, found in sums.items()
    }
    inner = {(at, kind): cells[at, kind] for at, kind in cells if at is not None}
    whole = sum(found.base or 0.0 for found in sums.values()) if relative else None
    return UpdateMap(
        _rows(layer for layer, _ in inner),
        tuple(sorted({kind for _, kind in inner}, key=as_computed)),
        inner,
        tuple(cell for (layer, _), cell in cells.items() if layer is None),
        _norm(sum(found.square for found in sums.values()), whole),
        relative,
    )


_ORDER = (
    "input_layernorm", "q_proj", "q_norm", "k_proj", "k_norm", "v_proj", "o_proj",
    "post_attention_layernorm", "gate", "gate_proj", "up_proj", "gate_up_proj",
    "down_proj",
)  # fmt: skip


def as_computed(kind: str) -> tuple[int, str]:
    """The order in which a layer computes; what is not known comes last."""
    leaf = kind.rpartition(".")[2]
    return (_ORDER.index(leaf) if leaf in _ORDER else len(_ORDER), kind)


def _rows(found: Iterable[int]) -> tuple[int, ...]:
    layers = sorted(set(found))
    if not layers:
        return ()
    everywhere = range(layers[0], layers[-1] + 1)
    # A number from nowhere makes no empty rows.
    return tuple(everywhere if len(everywhere) <= 2 * len(layers) else layers)
