"""What the bytes of a tensor say: counts, extremes, and whether all are the same.

A float's sign is its top bit, and below it a larger number is a larger integer, so
the largest magnitude is an integer maximum, taken without converting or copying.
Bit layouts: IEEE 754 (F16, F32, F64); https://cloud.google.com/tpu/docs/bfloat16;
https://www.opencompute.org/documents/ocp-8-bit-floating-point-specification-ofp8-revision-1-0-2023-12-01-pdf-1
(E4M3, E5M2); https://onnx.ai/onnx/technical/float8.html (FNUZ);
https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
(E8M0). The names are those of the `Dtype` enum of the safetensors library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Patterns = npt.NDArray[np.unsignedinteger[Any]]


class Kind(Enum):
    """How the bits of one element are to be read."""

    FLOAT = "sign, exponent, mantissa"
    UNSIGNED_ZERO = "the same, but what would be -0 is the only NaN"
    SCALE = "an exponent alone: 2 ** (n - bias); all ones is NaN"
    SIGNED = "two's complement"
    UNSIGNED = "a number, or packed bits that are compared but not read"


@dataclass(frozen=True, slots=True)
class Format:
    """A dtype. `infinity` is the smallest magnitude pattern that is Inf or NaN."""

    width: int  # bytes of one element
    kind: Kind
    mantissa: int = 0  # bits
    bias: int = 0
    infinity: int = 0

    def decode(self, magnitude: int) -> float:
        """The number that a magnitude pattern stands for."""
        if self.kind is Kind.SCALE:
            return math.ldexp(1.0, magnitude - self.bias)
        if self.kind in (Kind.SIGNED, Kind.UNSIGNED):
            return float(magnitude)
        exponent, fraction = divmod(magnitude, 1 << self.mantissa)
        if exponent:
            fraction += 1 << self.mantissa
        return math.ldexp(fraction, max(exponent, 1) - self.bias - self.mantissa)


_E4M3 = Format(1, Kind.FLOAT, mantissa=3, bias=7, infinity=0x7F)
_F32 = Format(4, Kind.FLOAT, mantissa=23, bias=127, infinity=0x7F80_0000)
_BYTES = Format(1, Kind.UNSIGNED)
FORMATS = {
    "F64": Format(
        8, Kind.FLOAT, mantissa=52, bias=1023, infinity=0x7FF0_0000_0000_0000
    ),
    "F32": _F32,
    "C64": _F32,  # its real and imaginary parts, counted singly
    "F16": Format(2, Kind.FLOAT, mantissa=10, bias=15, infinity=0x7C00),
    "BF16": Format(2, Kind.FLOAT, mantissa=7, bias=127, infinity=0x7F80),
    "F8_E4M3": _E4M3,
    "F8_E4M3FN": _E4M3,
    "F8_E5M2": Format(1, Kind.FLOAT, mantissa=2, bias=15, infinity=0x7C),
    "F8_E4M3FNUZ": Format(1, Kind.UNSIGNED_ZERO, mantissa=3, bias=8, infinity=0x80),
    "F8_E5M2FNUZ": Format(1, Kind.UNSIGNED_ZERO, mantissa=2, bias=16, infinity=0x80),
    "F8_E8M0": Format(1, Kind.SCALE, bias=127, infinity=0xFF),
    "I8": Format(1, Kind.SIGNED),
    "I16": Format(2, Kind.SIGNED),
    "I32": Format(4, Kind.SIGNED),
    "I64": Format(8, Kind.SIGNED),
    "BOOL": _BYTES,
    "U8": _BYTES,
    "U16": Format(2, Kind.UNSIGNED),
    "U32": Format(4, Kind.UNSIGNED),
    "U64": Format(8, Kind.UNSIGNED),
}


def format_of(dtype: str) -> Format:
    """How `dtype` is read; what is unknown, and F4 and F6, count as plain bytes."""
    return FORMATS.get(dtype, _BYTES)


@dataclass(slots=True)
class Tally:
    """What some elements of a tensor amount to.

    `peak` is the largest magnitude pattern of a finite element; `pattern` is that of
    all elements, None if they differ or there are none.
    """

    count: int
    nonfinite: int
    peak: int
    pattern: int | None

    def add(self, other: Tally) -> None:
        """Take in another part; the order of the parts makes no difference."""
        if not self.count:
            self.pattern = other.pattern
        elif other.pattern != self.pattern:
            self.pattern = None
        self.count += other.count
        self.nonfinite += other.nonfinite
        self.peak = max(self.peak, other.peak)


# What needs a copy is done in parts of so many bytes: the allocator uses their memory
# again, while larger ones come from the system and cost a page fault for each 4 KiB.
_COPIED = 128 << 10

Meter = Callable[[memoryview], Tally]


def meter(form: Format) -> Meter:
    """A function that tallies whole, at least one, little-endian elements."""
    if form.kind in (Kind.SIGNED, Kind.UNSIGNED):
        return _integer_meter(form)
    return _scale_meter(form) if form.kind is Kind.SCALE else _float_meter(form)


def _common(view: Patterns, highest: int) -> int | None:
    """The pattern of every element, if they are all alike; `highest` is the maximum."""
    if view.item(0) != highest or view.item(-1) != highest:  # nearly always
        return None
    return highest if int(view.min()) == highest else None


def _integer_meter(form: Format) -> Meter:
    import numpy as np

    code = np.dtype(f"<{'i' if form.kind is Kind.SIGNED else 'u'}{form.width}")

    def measure(data: memoryview) -> Tally:
        view = np.frombuffer(data, code)
        low, high = int(view.min()), int(view.max())
        return Tally(len(view), 0, max(high, -low), low if low == high else None)

    return measure


def _scale_meter(form: Format) -> Meter:
    import numpy as np

    def measure(data: memoryview) -> Tally:
        view = np.frombuffer(data, np.uint8)
        peak = highest = int(view.max())
        bad = 0
        if highest == form.infinity:
            bad = int(np.count_nonzero(view == highest))
            peak = int(np.where(view == highest, 0, view).max())
        return Tally(len(view), bad, peak, _common(view, highest))

    return measure


def _float_meter(form: Format) -> Meter:
    import numpy as np

    unsigned, signed = np.dtype(f"<u{form.width}"), np.dtype(f"<i{form.width}")
    sign = 1 << (8 * form.width - 1)
    nan_is_sign = form.kind is Kind.UNSIGNED_ZERO
    count = _count_bare_signs if nan_is_sign else _count_nonfinite

    def in_parts(data: memoryview) -> Tally:
        total = Tally(0, 0, 0, None)
        for at in range(0, len(data), _COPIED):
            total.add(measure(data[at : at + _COPIED]))
        return total

    def measure(data: memoryview) -> Tally:
        view = np.frombuffer(data, unsigned)
        if not view.flags.aligned:
            if len(data) > _COPIED:
                return in_parts(data)
            view = view.copy()  # one copy costs less than two unaligned passes
        # argmax has the faster loop, max the slower one and a wrapper in Python.
        peak = highest = view.item(view.argmax())
        bad = 0
        if highest >= sign:  # then it is the largest of the negative elements
            other = view.view(signed)
            peak = max(highest ^ sign, other.item(other.argmax()))
        if peak >= form.infinity or (nan_is_sign and highest >= sign):
            if len(data) > _COPIED:
                return in_parts(data)
            bad, peak = count(view, form, peak)
        return Tally(len(view), bad, peak, _common(view, highest))

    return measure


def _count_nonfinite(view: Patterns, form: Format, _: int) -> tuple[int, int]:
    """How many elements are Inf or NaN, and the peak of the others (0 if none)."""
    import numpy as np

    magnitudes = view & view.dtype.type((1 << (8 * form.width - 1)) - 1)
    bad = magnitudes >= form.infinity
    magnitudes[bad] = 0
    return int(np.count_nonzero(bad)), int(magnitudes.max())


def _count_bare_signs(view: Patterns, form: Format, peak: int) -> tuple[int, int]:
    """The same where NaN is a sign without a magnitude, so never the peak."""
    import numpy as np

    return int(np.count_nonzero(view == form.infinity)), peak
