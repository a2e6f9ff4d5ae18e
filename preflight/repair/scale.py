"""One rank and one scale for all modules of an adapter, without changing its update.

What a module adds to its weight is (alpha / r)·B·A. The service serves one `r` and one
`lora_alpha` for all modules, so that whatever differs has to go into the matrices:

- A smaller rank is filled up with zeros, and `lora_alpha` grows as `r` does. Allowed
  ranks are powers of two, so that alpha / r comes out the same to the last bit.
- A factor that is a power of two goes into B: that changes exponents alone.
- Another factor of few bits is a sum of powers of two: 3/2·B·A is [2B, -B/2]·[A; A].
  This takes ranks that would have been filled up with zeros.
- Where the values have 16 bits, F32 holds their product with such a factor.

What can be had in none of these ways (4/3 beside 1 in F32) would have to be rounded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from preflight.repair.tensors import ONCE

_MOST_TERMS = 4
_SIGNIFICANT = {"BF16": 8, "F16": 11, "F32": 24}  # bits of a value, the hidden one too
_F32 = 24


@dataclass(frozen=True)
class Scale:
    """alpha / r, or alpha / sqrt(r), as a fraction times the root of `radicand`.

    `number` is what loaders compute of it in 64 bits.
    """

    factor: Fraction
    radicand: int
    number: float


def scale(alpha: float, rank: int, *, root: bool) -> Scale:
    """The scale of a module; `root` for rsLoRA."""
    if not root:
        return Scale(Fraction(alpha) / rank, 1, alpha / rank)
    square, radicand = 1, rank
    for number in range(math.isqrt(rank), 1, -1):
        if rank % (number * number) == 0:
            square, radicand = number, rank // (number * number)
            break
    return Scale(Fraction(alpha) * square / rank, radicand, alpha / math.sqrt(rank))


@dataclass(frozen=True)
class Module:
    """A module's rank, scale, and the format of its lora_B."""

    rank: int
    scale: Scale
    dtype: str


@dataclass(frozen=True, slots=True)
class Folded:
    """What becomes of the modules: `terms` of each, one `rank`, one `alpha` for all.

    `widened`: all tensors become F32. `exact`: nothing has to be rounded.
    """

    rank: int
    alpha: float
    terms: Mapping[str, tuple[Fraction, ...]]
    widened: bool = False
    exact: bool = True

    @property
    def cost(self) -> tuple[bool, int, bool, int]:
        """To choose the cheapest by: rounding, rank, format, modules that change."""
        touched = sum(each != ONCE for each in self.terms.values())
        return not self.exact, self.rank, self.widened, touched


def folded(modules: Mapping[str, Module], ranks: Sequence[int]) -> Folded | None:
    """The cheapest way to one of `ranks` and to one scale; None beyond the largest."""
    found = [
        each
        for wanted in _scales(modules.values())
        for rank in ranks
        if rank >= max(module.rank for module in modules.values())
        for each in _ways(modules, wanted, rank)
    ]
    return min(found, key=lambda each: each.cost, default=None)


def _scales(modules: Iterable[Module]) -> list[Scale]:
    """Scales to choose from: those that occur, the usual ones first, and a divisor."""
    counted: dict[Scale, int] = {}
    for module in modules:
        counted[module.scale] = counted.get(module.scale, 0) + 1
    usual = sorted(counted, key=lambda one: -counted[one])[:8]
    if len({one.radicand for one in usual}) == 1 < len(usual):
        divisor = usual[0].factor
        for one in usual[1:]:
            divisor = _common(divisor, one.factor)
        ratio = float(divisor / usual[0].factor)
        usual.append(Scale(divisor, usual[0].radicand, usual[0].number * ratio))
    return usual


def _common(one: Fraction, other: Fraction) -> Fraction:
    """The largest fraction of which both are multiples."""
    bottom = one.denominator * other.denominator
    top = math.gcd(one.numerator * other.denominator, other.numerator * one.denominator)
    return Fraction(top, bottom)


def _ways(modules: Mapping[str, Module], wanted: Scale, rank: int) -> Iterator[Folded]:
    alpha = wanted.number * rank
    ratios = {name: _ratio(module.scale, wanted) for name, module in modules.items()}
    terms = {
        name: _terms(ratio, rank // modules[name].rank)
        for name, ratio in ratios.items()
        if ratio is not None
    }
    if all(terms.get(name) for name in modules):
        yield Folded(rank, alpha, {name: terms[name] or () for name in modules})
    if all(_fits(module.dtype, ratios[name]) for name, module in modules.items()):
        plain = {name: (ratio or Fraction(1),) for name, ratio in ratios.items()}
        yield Folded(rank, alpha, plain, widened=True)
    rounded = {
        name: (ratio or Fraction(modules[name].scale.number / wanted.number),)
        for name, ratio in ratios.items()
    }
    yield Folded(rank, alpha, rounded, widened=True, exact=False)


def _ratio(mine: Scale, wanted: Scale) -> Fraction | None:
    """How much larger a scale is; None where that is no fraction."""
    return mine.factor / wanted.factor if mine.radicand == wanted.radicand else None


def _terms(ratio: Fraction, most: int) -> tuple[Fraction, ...] | None:
    """At most so many powers of two, some negative, whose sum is the ratio.

    This is the non-adjacent form, which has the fewest of all.
    """
    if ratio.denominator & (ratio.denominator - 1):
        return None
    left, unit, found = ratio.numerator, Fraction(1, ratio.denominator), []
    while left:
        if left & 1:
            digit = 2 - (left & 3)
            found.append(digit * unit)
            left -= digit
            if len(found) > min(most, _MOST_TERMS):
                return None
        left, unit = left >> 1, unit * 2
    return tuple(reversed(found))


def _fits(dtype: str, ratio: Fraction | None) -> bool:
    """Whether F32 holds each product of a value of this format with the ratio."""
    if ratio is None or ratio.denominator & (ratio.denominator - 1):
        return False
    odd = ratio.numerator // (ratio.numerator & -ratio.numerator)
    return _SIGNIFICANT.get(dtype, 64) + odd.bit_length() <= _F32 or odd == 1
