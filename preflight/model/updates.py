"""What an adapter adds to each weight: the size of B·A, scaled, exact and cheap.

‖B·A‖² is the sum over all elements of (BᵀB) ∘ (A·Aᵀ), two matrices of rank x rank, so
that the product, which may be of 100 million elements, is never made. The scalar
product of two adapters' updates is the sum over (B₁ᵀB₂) ∘ (A₁·A₂ᵀ) in the same way.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from preflight.findings import Unavailable
from preflight.model.headers import Container, Tensor
from preflight.model.inspection import Inspection
from preflight.model.lora import LoraTensor
from preflight.model.steady import SteadyFile, open_steady

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

_READ = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


class CellState(str, Enum):
    """What can be said of a module's update."""

    TRAINED = "trained"
    ZERO = "zero"
    NOT_FINITE = "not finite"
    MISSING = "missing"
    UNREADABLE = "cannot be read"


@dataclass(frozen=True, slots=True)
class ModuleUpdate:
    """The update of one module: its `norm` is 0 unless it is `TRAINED`."""

    module: str
    layer: int | None
    kind: str
    norm: float
    state: CellState


@dataclass(frozen=True, slots=True)
class AdapterMap:
    """Layers x kinds of modules; experts of one layer are one cell, summed up.

    `others` are modules in no numbered layer.
    """

    layers: tuple[int, ...]
    kinds: tuple[str, ...]
    cells: Mapping[tuple[int, str], ModuleUpdate]
    others: tuple[ModuleUpdate, ...] = ()

    def at(self, layer: int, kind: str) -> ModuleUpdate:
        """The cell; one that no tensor is of is `MISSING`."""
        missing = ModuleUpdate("", layer, kind, 0.0, CellState.MISSING)
        return self.cells.get((layer, kind), missing)

    @property
    def largest(self) -> float:
        """The greatest norm of all cells."""
        return max((cell.norm for cell in self.cells.values()), default=0.0)

    @property
    def total(self) -> float:
        """The norm of the whole update."""
        each = (*self.cells.values(), *self.others)
        return math.sqrt(sum(cell.norm**2 for cell in each))


@dataclass
class Halves:
    """The halves of all modules of an adapter, read one module at a time."""

    found: Inspection
    _files: dict[str, SteadyFile] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _homes: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Halves:
        if not isinstance(self.found.containers, Unavailable):
            for container in self.found.containers:
                if isinstance(container, Container):
                    self._open(container)
        return self

    def _open(self, container: Container) -> None:
        entry = self.found.files[container.file]
        steady = open_steady(entry.real_path, entry.name, entry.stamp)
        self._files[container.file] = self._stack.enter_context(steady)
        self._homes.update((each.name, container.file) for each in container.tensors)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pairs(self) -> Mapping[str, Mapping[str, LoraTensor]]:
        """Module to halves; empty for what is no adapter."""
        lora = self.found.lora
        return {} if isinstance(lora, Unavailable) else lora.pairs

    def read(self, module: str) -> tuple[Matrix, Matrix] | CellState:
        """A (rank, in) and B (out, rank) of a module, or why there is no product."""
        pair = self.pairs.get(module, {})
        if set(pair) != {"A", "B"}:
            return CellState.MISSING
        first, second = pair["A"], pair["B"]
        if first.rank is None or first.rank != second.rank:
            return CellState.UNREADABLE
        a, b = self._matrix(first.tensor), self._matrix(second.tensor)
        return CellState.UNREADABLE if a is None or b is None else (a, b)

    def _matrix(self, tensor: Tensor) -> Matrix | None:
        import numpy as np

        data = self._files[self._homes[tensor.name]].read(tensor.start, tensor.size)
        if tensor.dtype == "BF16":  # the upper half of an F32
            words = np.frombuffer(data, "<u2").astype("<u4") << np.uint32(16)
            wide: Matrix = words.view("<f4").astype(np.float64)
            return wide.reshape(tensor.shape)
        if tensor.dtype not in _READ:
            return None
        values = np.frombuffer(data, _READ[tensor.dtype])
        return values.astype(np.float64).reshape(tensor.shape)


def norm_squared(a: Matrix, b: Matrix) -> float:
    """‖b·a‖², exact but for rounding in 64 bits."""
    return product(a, b, a, b)


def product(a: Matrix, b: Matrix, c: Matrix, d: Matrix) -> float:
    """The scalar product of b·a and d·c."""
    import numpy as np

    with np.errstate(all="ignore"):
        return float(np.sum((b.T @ d) * (a @ c.T)))


def scale_of(config: Any, module: str, rank: int) -> float:  # noqa: ANN401 - from JSON
    """alpha / r, or alpha / sqrt(r) with rsLoRA; 1 where the config does not say."""
    if not isinstance(config, Mapping):
        return 1.0
    alpha: object = config.get("lora_alpha")
    patterns = config.get("alpha_pattern")
    for key, value in patterns.items() if isinstance(patterns, Mapping) else ():
        if _ends_with(module, str(key)):
            alpha = value
            break
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or rank < 1:
        return 1.0
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _ends_with(module: str, key: str) -> bool:
    """As PEFT matches: the key is the module's path or the end of it."""
    try:
        return re.fullmatch(rf"(.*\.)?({key})", module[:2000]) is not None
    except re.error:
        return False


def adapter_map(found: Inspection) -> AdapterMap | Unavailable:
    """The map of an adapter, read module by module.

    `Unavailable` for full weights and for an adapter without a readable pair. Raises
    `Changed` and `Unreadable`.
    """
    with Halves(found) as halves:
        updates = [_update(halves, module) for module in halves.pairs]
    if not updates:
        return Unavailable("there is no adapter whose matrices could be read")
    return _arranged(updates)


def _update(halves: Halves, module: str) -> ModuleUpdate:
    path = next(iter(halves.pairs[module].values())).path
    layer, kind = (path.numbers[0], path.kind) if path else (None, module)
    read = halves.read(module)
    if isinstance(read, CellState):
        return ModuleUpdate(module, layer, kind, 0.0, read)
    a, b = read
    square = norm_squared(a, b)
    if not math.isfinite(square):
        return ModuleUpdate(module, layer, kind, 0.0, CellState.NOT_FINITE)
    scale = scale_of(halves.found.adapter_config, module, a.shape[0])
    norm = abs(scale) * math.sqrt(max(0.0, square))
    state = CellState.TRAINED if norm else CellState.ZERO
    return ModuleUpdate(module, layer, kind, norm, state)


_WORST = (
    CellState.NOT_FINITE,
    CellState.UNREADABLE,
    CellState.MISSING,
    CellState.ZERO,
    CellState.TRAINED,
)


def _arranged(updates: list[ModuleUpdate]) -> AdapterMap:
    cells: dict[tuple[int, str], ModuleUpdate] = {}
    others = []
    for update in updates:
        if update.layer is None:
            others.append(update)
            continue
        key = (update.layer, update.kind)
        cells[key] = _joined(cells[key], update) if key in cells else update
    layers = sorted({layer for layer, _ in cells})
    kinds = list(dict.fromkeys(kind for _, kind in cells))
    everywhere = range(layers[0], layers[-1] + 1) if layers else ()
    if len(everywhere) > 2 * len(layers):  # a number from nowhere makes no empty rows
        everywhere = layers  # type: ignore[assignment]
    return AdapterMap(tuple(everywhere), tuple(kinds), cells, tuple(others))


def _joined(one: ModuleUpdate, other: ModuleUpdate) -> ModuleUpdate:
    """Two experts of one layer: norms add as squares, the worse state stands."""
    state = min(one.state, other.state, key=_WORST.index)
    norm = math.hypot(one.norm, other.norm)
    if state is CellState.ZERO and norm:
        state = CellState.TRAINED
    return ModuleUpdate(one.module, one.layer, one.kind, norm, state)


@dataclass(frozen=True, slots=True)
class UpdatePair:
    """One module in two adapters: both norms, and the cosine of the two updates.

    `cosine` is None where either norm is 0 or not finite, or the shapes differ.
    """

    module: str
    before: float
    after: float
    cosine: float | None


def compared(one: Inspection, other: Inspection) -> Iterator[UpdatePair]:
    """Every module that both adapters have, in the order of the first."""
    with Halves(one) as first, Halves(other) as second:
        for module in first.pairs:
            if module in second.pairs:
                yield _compared(first, second, module)


def _compared(first: Halves, second: Halves, module: str) -> UpdatePair:
    mine, theirs = first.read(module), second.read(module)
    if isinstance(mine, CellState) or isinstance(theirs, CellState):
        return UpdatePair(module, math.nan, math.nan, None)
    a, b = mine
    c, d = theirs
    scales = (
        scale_of(first.found.adapter_config, module, a.shape[0]),
        scale_of(second.found.adapter_config, module, c.shape[0]),
    )
    before, after = (
        abs(scale) * math.sqrt(max(0.0, square))
        if math.isfinite(square := norm_squared(*halves))
        else math.nan
        for scale, halves in zip(scales, (mine, theirs), strict=True)
    )
    same_shape = a.shape[1] == c.shape[1] and b.shape[0] == d.shape[0]
    if not same_shape or not (before > 0 and after > 0):
        return UpdatePair(module, before, after, None)
    value = scales[0] * scales[1] * product(a, b, c, d) / (before * after)
    return UpdatePair(module, before, after, max(-1.0, min(1.0, value)))
