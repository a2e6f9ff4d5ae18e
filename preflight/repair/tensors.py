"""Tensors of a repaired file: where their bytes lie, and what is done to them.

Most are moved: their bytes are copied, block by block, under another name or beside
other neighbours. What is done to the rest is exact: turned, filled up with zeros,
multiplied by powers of two, or widened to a format that holds every value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from preflight.model.dtypes import BITS
from preflight.model.files import FileEntry
from preflight.model.headers import Container

LARGEST = 1 << 30  # bytes of a tensor that is changed, which is held in memory whole

ONCE = (Fraction(1),)

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """The bytes of one tensor: `size` of them from `start` of a file on.

    `strides`, in elements, are given where the elements do not lie in the usual order,
    as in a pickled view of another tensor.
    """

    file: FileEntry
    dtype: str
    shape: Shape
    start: int
    size: int
    strides: Shape | None = None


@dataclass(frozen=True, slots=True)
class Reduced:
    """The update of two halves in fewer dimensions: the nearest of that rank."""

    a: Made
    b: Made
    half: str
    rank: int


@dataclass(frozen=True, slots=True)
class Made:
    """One tensor to be: a name, a format, a shape, and what its values are made of.

    The values are the origin's, `turned` (transposed), repeated along `axis` once for
    each of `terms` and multiplied by it, filled up with zeros to `shape` and written as
    `dtype`. `rounded` allows values that `dtype` cannot hold to be rounded; otherwise
    such a value is an error.
    """

    name: str
    dtype: str
    shape: Shape
    origin: Origin
    turned: bool = False
    terms: tuple[Fraction, ...] = ONCE
    axis: int = 0
    rounded: bool = False
    reduced: Reduced | None = None

    @property
    def size(self) -> int:
        """Bytes of data."""
        return math.prod(self.shape) * BITS[self.dtype] // 8

    @property
    def is_moved(self) -> bool:
        """Whether its bytes are the origin's own, in the same order."""
        origin = self.origin
        return (
            self.reduced is None
            and origin.strides is None
            and not self.turned
            and self.terms == ONCE
            and (self.dtype, self.shape) == (origin.dtype, origin.shape)
        )

    def renamed(self, name: str) -> Made:
        """The same under another name."""
        return replace(self, name=name)


def tensors_of(entry: FileEntry, container: Container) -> tuple[Made, ...]:
    """What a sound safetensors file holds, as it is."""
    return tuple(
        Made(
            each.name,
            each.dtype,
            each.shape,
            Origin(entry, each.dtype, each.shape, each.start, each.size),
        )
        for each in container.tensors
    )


def in_order(tensors: tuple[Made, ...]) -> tuple[Made, ...]:
    """As the safetensors library orders them: the widest format first, then by name."""
    return tuple(sorted(tensors, key=lambda one: (-BITS[one.dtype], one.name)))
