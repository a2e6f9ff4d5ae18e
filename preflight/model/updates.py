"""Two adapters side by side: the norm of each module's update, and the cosine.

The scalar product of two updates B₁·A₁ and B₂·A₂ is the sum over all elements of
(B₁ᵀB₂) ∘ (A₁·A₂ᵀ), matrices of rank x rank: no product of full size is made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from preflight.findings import Unavailable
from preflight.model.floats import numbers
from preflight.model.headers import Container, Tensor
from preflight.model.inspection import Inspection
from preflight.model.lora import LoraTensor
from preflight.model.norms import why_not_measured
from preflight.model.scale import scale_of
from preflight.model.source import OpenFile
from preflight.model.update_map import place_of

if TYPE_CHECKING:
    from preflight.model.floats import Numbers


@dataclass(frozen=True, slots=True)
class UpdatePair:
    """What was trained of one module in two models, as squares to be summed up.

    `first` and `second` are the squares of the norms, `both` the scalar product, None
    where shapes or dtypes do not allow one. `base` is the square of the base's own
    norm where the norms are to be shares of it.
    """

    module: str
    layer: int | None
    kind: str
    first: float
    second: float
    both: float | None
    base: float | None = None

    @property
    def before(self) -> float:
        """The norm in the first; NaN where it cannot be told."""
        return _norm(self.first, self.base)

    @property
    def after(self) -> float:
        """The norm in the second."""
        return _norm(self.second, self.base)

    @property
    def cosine(self) -> float | None:
        """Of the two updates; None where there is none of either or no telling."""
        if self.both is None or not math.isfinite(self.both):
            return None
        if not (self.before > 0 and self.after > 0):
            return None
        value = self.both / math.sqrt(self.first) / math.sqrt(self.second)
        return max(-1.0, min(1.0, value))

    @property
    def change(self) -> float | None:
        """The norm of the difference as a share of the first's; None likewise."""
        if self.first == self.second == 0:
            return 0.0
        if self.both is None or not self.before > 0 or not math.isfinite(self.both):
            return None
        square = self.first + self.second - 2 * self.both
        return math.sqrt(max(0.0, square) / self.first)


def summed(pairs: Iterable[UpdatePair], kind: str) -> UpdatePair:
    """Several modules as one."""
    found = list(pairs)
    scalar = [each.both for each in found if each.both is not None]
    bases = [each.base for each in found if each.base is not None]
    return UpdatePair(
        kind,
        None,
        kind,
        sum(each.first for each in found),
        sum(each.second for each in found),
        sum(scalar) if len(scalar) == len(found) else None,
        sum(bases) if bases else None,
    )


def _norm(square: float, base: float | None) -> float:
    if not math.isfinite(square):
        return math.nan
    return math.sqrt(max(0.0, square) / (base or 1.0))


@dataclass
class Halves:
    """The halves of all modules of an adapter, read one module at a time."""

    found: Inspection
    _files: dict[str, OpenFile] = field(default_factory=dict)
    _stack: ExitStack = field(default_factory=ExitStack)
    _homes: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> Halves:
        if not isinstance(self.found.containers, Unavailable):
            for container in self.found.containers:
                if isinstance(container, Container):
                    self._open(container)
        return self

    def _open(self, container: Container) -> None:
        file = self.found.source.reopen(self.found.files[container.file])
        self._files[container.file] = self._stack.enter_context(closing(file))
        self._homes.update((each.name, container.file) for each in container.tensors)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def pairs(self) -> Mapping[str, Mapping[str, LoraTensor]]:
        """Module to halves; empty for what is no adapter."""
        lora = self.found.lora
        return {} if isinstance(lora, Unavailable) else lora.pairs

    def read(self, module: str) -> tuple[Numbers, Numbers] | None:
        """A (rank, in) and B (out, rank) of a module; None if there is no product."""
        pair = self.pairs.get(module, {})
        if why_not_measured(pair) is not None:
            return None
        return self._matrix(pair["A"].tensor), self._matrix(pair["B"].tensor)

    def _matrix(self, tensor: Tensor) -> Numbers:
        data = self._files[self._homes[tensor.name]].read(tensor.start, tensor.size)
        return numbers(data, tensor.dtype).reshape(tensor.shape)


def product(a: Numbers, b: Numbers, c: Numbers, d: Numbers) -> float:
    """The scalar product of b·a and d·c."""
    import numpy as np

    with np.errstate(all="ignore"):
        return float(np.sum((b.T @ d) * (a @ c.T)))


def compared(one: Inspection, other: Inspection) -> Iterator[UpdatePair]:
    """Every module that both adapters have, in the order of the first."""
    with Halves(one) as first, Halves(other) as second:
        for module in first.pairs:
            if module in second.pairs:
                yield _compared(first, second, module)


def _compared(first: Halves, second: Halves, module: str) -> UpdatePair:
    layer, kind = place_of(module, next(iter(first.pairs[module].values())).path)
    mine, theirs = first.read(module), second.read(module)
    if mine is None or theirs is None:
        return UpdatePair(module, layer, kind, math.nan, math.nan, None)
    a, b = mine
    c, d = theirs
    one = scale_of(first.found.adapter_config, module, a.shape[0])
    other = scale_of(second.found.adapter_config, module, c.shape[0])
    same_shape = a.shape[1] == c.shape[1] and b.shape[0] == d.shape[0]
    return UpdatePair(
        module,
        layer,
        kind,
        one**2 * product(a, b, a, b),
        other**2 * product(c, d, c, d),
        one * other * product(a, b, c, d) if same_shape else None,
    )
