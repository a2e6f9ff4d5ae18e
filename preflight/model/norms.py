"""How much training changed each module, measured in bytes that pass by.

An adapter's update is B·A. ‖B·A‖² is the sum over all elements of (BᵀB) ∘ (A·Aᵀ), two
matrices of rank x rank, so that the product, which may be of 100 million elements, is
never made. Full weights are compared with the base's, whose bytes are read beside
them. Of neither more is held than what is on its way.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, cast

from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.floats import numbers, width_of
from preflight.model.headers import Tensor
from preflight.model.inspection import Inspection, opener
from preflight.model.lora import LoraTensor
from preflight.model.pieces import Pieces
from preflight.model.scale import scale_of
from preflight.model.tensor_bytes import (
    CannotCompare,
    OpenTensors,
    Place,
    files_of,
    places,
)
from preflight.model.update_map import (
    CellState,
    Measured,
    UpdateMap,
    arranged,
    place_of,
    place_of_tensor,
)

if TYPE_CHECKING:
    from preflight.model.floats import Numbers

_AT_ONCE = 1 << 16  # numbers of 64 bits that are made at a time
# What is larger is no adapter that anybody trains, and would take the memory away.
_HIGHEST_RANK = 512
_LARGEST_A = 256 << 20  # bytes
# Threads that count at the same time. Each has numbers of 64 bits, and buffers of the
# BLAS library, which together take a MB: of 64 threads that send, not all may.
_AT_A_TIME = threading.BoundedSemaphore(4)


class NormMeter(Protocol):
    """Measures while a model's bytes are read for another purpose."""

    def take(self, tensor: Tensor, at: int, data: memoryview) -> None:
        """Bytes of a tensor from its byte `at` on, each once; from any thread."""

    def result(self) -> UpdateMap | Unavailable:
        """The map, once all bytes were taken."""

    def close(self) -> None:
        """Let go of files."""


class _HalfB:
    """BᵀB out of rows of B (out, rank), a few at a time."""

    def __init__(self, tensor: Tensor) -> None:
        self._dtype, self._rank = tensor.dtype, tensor.shape[1]
        self._left = tensor.size
        self._rows = Pieces(self._rank * width_of(tensor.dtype))
        self._lock = threading.Lock()
        self._gram: Numbers | float = 0.0

    def take(self, at: int, data: memoryview) -> Numbers | None:
        """BᵀB when these were the last bytes, None before."""
        width = width_of(self._dtype) * self._rank
        step = max(1, _AT_ONCE // self._rank) * width
        for units in self._rows.take(at, data):
            for start in range(0, len(units.data), step):
                part = units.data[start : start + step]
                rows = numbers(part, self._dtype).reshape(-1, self._rank)
                gram = rows.T @ rows
                with self._lock:
                    self._gram = gram + self._gram
        with self._lock:
            self._left -= len(data)
            return None if self._left else cast("Numbers", self._gram)


class _HalfA:
    """A·Aᵀ, for which all of A (rank, in) must be there."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor, self._left = tensor, tensor.size
        self._lock = threading.Lock()
        self._data = bytearray()

    def take(self, at: int, data: memoryview) -> Numbers | None:
        """A·Aᵀ when these were the last bytes, None before."""
        with self._lock:
            self._data = self._data or bytearray(self._tensor.size)
            self._data[at : at + len(data)] = data
            self._left -= len(data)
            if self._left:
                return None
        whole, self._data = self._data, bytearray()
        return self._gram(whole)

    def _gram(self, whole: bytearray) -> Numbers:
        import numpy as np

        dtype, (rank, columns) = self._tensor.dtype, self._tensor.shape
        row = columns * width_of(dtype)
        step = max(1, _AT_ONCE // rank) * width_of(dtype)
        view, gram = memoryview(whole), np.zeros((rank, rank))
        for start in range(0, row, step):
            stop = min(start + step, row)
            parts = [view[n * row + start : n * row + stop] for n in range(rank)]
            some = np.stack([numbers(part, dtype) for part in parts])
            gram += some @ some.T
        return gram


class AdapterMeter:
    """The norm of each module's update, alpha / r · B·A."""

    def __init__(self, found: Inspection) -> None:
        lora = found.lora
        self._pairs = {} if isinstance(lora, Unavailable) else lora.pairs
        self._config = found.adapter_config
        self._lock = threading.Lock()
        self._modules: dict[str, str] = {}
        self._halves: dict[str, _HalfA | _HalfB] = {}
        self._grams: dict[str, Numbers] = {}
        self._squares: dict[str, float] = {}
        for module, pair in self._pairs.items():
            if why_not_measured(pair) is None:
                self._expect(module, pair)

    def _expect(self, module: str, pair: Mapping[str, LoraTensor]) -> None:
        if not pair["A"].tensor.size or not pair["B"].tensor.size:
            self._squares[module] = 0.0
            return
        for half in pair.values():
            self._modules[half.tensor.name] = module
        first, second = pair["A"].tensor, pair["B"].tensor
        self._halves[first.name] = _HalfA(first)
        self._halves[second.name] = _HalfB(second)

    def take(self, tensor: Tensor, at: int, data: memoryview) -> None:
        """Bytes of a tensor; a module is measured as soon as both halves are whole."""
        import numpy as np

        half = self._halves.get(tensor.name)
        if half is None:
            return
        with np.errstate(all="ignore"):
            with _AT_A_TIME:
                gram = half.take(at, data)
            if gram is None:
                return
            module = self._modules[tensor.name]
            with self._lock:
                del self._halves[tensor.name]
                other = self._grams.pop(module, None)
                if other is None:
                    self._grams[module] = gram
                else:
                    self._squares[module] = float(np.sum(gram * other))

    def result(self) -> UpdateMap | Unavailable:
        """The map; `Unavailable` where there is no LoRA in it."""
        if not self._pairs:
            return Unavailable(say("there is no adapter whose matrices could be read"))
        return arranged(map(self._measured, self._pairs))

    def _measured(self, module: str) -> Measured:
        pair = self._pairs[module]
        layer, kind = place_of(module, next(iter(pair.values())).path)
        state = why_not_measured(pair)
        if state is not None or module not in self._squares:
            state = state or CellState.UNREADABLE
            return Measured(module, layer, kind, state=state)
        rank = pair["A"].rank or 1
        square = self._squares[module] * scale_of(self._config, module, rank) ** 2
        if not math.isfinite(square):
            return Measured(module, layer, kind, state=CellState.NOT_FINITE)
        state = CellState.TRAINED if square > 0 else CellState.ZERO
        return Measured(module, layer, kind, max(0.0, square), state=state)

    def close(self) -> None:
        """Nothing is open."""


def why_not_measured(pair: Mapping[str, LoraTensor]) -> CellState | None:
    """Why two halves have no product; None where they have one."""
    if set(pair) != {"A", "B"}:
        return CellState.MISSING
    first, second = pair["A"], pair["B"]
    readable = all(width_of(half.tensor.dtype) for half in (first, second))
    if first.rank is None or first.rank != second.rank or not readable:
        return CellState.UNREADABLE
    if first.rank > _HIGHEST_RANK or first.tensor.size > _LARGEST_A:
        return CellState.UNREADABLE
    return None


class ChangeMeter:
    """How far full weights lie from the base's, of which a copy is at hand.

    The bytes of the base are read beside each piece, once.
    """

    def __init__(self, mine: Mapping[str, Place], base: Mapping[str, Place]) -> None:
        self._mine, self._base = mine, base
        self._stack = ExitStack()
        self._files = OpenTensors(self._stack)
        self._lock = threading.Lock()
        self._pieces: dict[str, Pieces] = {}
        self._sums: dict[str, tuple[float, float]] = {}
        self._why = ""
        for name, place in mine.items():
            if self._is_measured(name):
                self._pieces[name] = Pieces(width_of(place.tensor.dtype))

    def _is_measured(self, name: str) -> bool:
        there = self._base.get(name)
        if there is None:
            return False
        tensors = (self._mine[name].tensor, there.tensor)
        readable = all(width_of(tensor.dtype) for tensor in tensors)
        return readable and tensors[0].shape == tensors[1].shape

    def take(self, tensor: Tensor, at: int, data: memoryview) -> None:
        """Bytes of a tensor, compared with those of the base."""
        pieces = self._pieces.get(tensor.name)
        if pieces is None or self._why:
            return
        try:
            for units in pieces.take(at, data):
                with _AT_A_TIME:
                    self._compare(tensor, units.first, units.data)
        except CannotCompare as stop:
            self._why = str(stop)

    def _compare(self, tensor: Tensor, first: int, data: memoryview) -> None:
        import numpy as np

        place, width = self._base[tensor.name], width_of(tensor.dtype)
        there = width_of(place.tensor.dtype)
        change = base = 0.0
        with np.errstate(all="ignore"):
            for start in range(0, len(data) // width, _AT_ONCE):
                mine = data[start * width : (start + _AT_ONCE) * width]
                count = len(mine) // width
                raw = self._files.read(place, (first + start) * there, count * there)
                wanted = numbers(raw, place.tensor.dtype)
                base += float(wanted @ wanted)
                if there != width or raw != mine or place.tensor.dtype != tensor.dtype:
                    other = numbers(mine, tensor.dtype) - wanted
                    change += float(other @ other)
        with self._lock:
            before = self._sums.get(tensor.name, (0.0, 0.0))
            self._sums[tensor.name] = (before[0] + change, before[1] + base)

    def result(self) -> UpdateMap | Unavailable:
        """The map; `Unavailable` when the base could not be read."""
        if self._why:
            return Unavailable(self._why)
        return arranged(self._measured(), relative=True)

    def _measured(self) -> Iterator[Measured]:
        for name in dict.fromkeys([*self._mine, *self._base]):
            layer, kind = place_of_tensor(name)
            square, base = self._sums.get(name, (0.0, 0.0))
            state = self._state(name, square, base)
            if state is not CellState.CHANGED:
                square = 0.0
            if not math.isfinite(base):
                base = 0.0
            yield Measured(name, layer, kind, square, base, state)

    def _state(self, name: str, square: float, base: float) -> CellState:
        if name not in self._mine:
            return CellState.MISSING
        if name not in self._base:
            return CellState.NOT_IN_BASE
        if name not in self._pieces:
            return CellState.UNREADABLE
        if not math.isfinite(square) or not math.isfinite(base):
            return CellState.NOT_FINITE
        return CellState.CHANGED if square else CellState.UNCHANGED

    def close(self) -> None:
        """Close the files of the base."""
        self._stack.close()


def norm_meter(found: Inspection) -> NormMeter | Unavailable:
    """What measures this model; of full weights the base must be at hand."""
    if found.weight_type is WeightType.LORA:
        return AdapterMeter(found)
    if isinstance(found.containers, Unavailable):
        return found.containers
    if isinstance(found.reference, Unavailable):
        return Unavailable(
            say("the base is not at hand: {reason}", reason=found.reference.reason)
        )
    if isinstance(found.reference.containers, Unavailable):
        return found.reference.containers
    return ChangeMeter(
        places(opener(found.source, found.files), found.containers),
        places(files_of(found.reference.directory), found.reference.containers),
    )
