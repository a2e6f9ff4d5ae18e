"""Bytes of tensors as numbers of 64 bits, in which sums of squares are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]

_READ = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def width_of(dtype: str) -> int:
    """Bytes of one number; 0 for a dtype whose numbers are not read."""
    return _WIDTHS.get(dtype, 0)


def numbers(data: memoryview | bytes, dtype: str) -> Numbers:
    """The numbers in `data`, whole elements of a dtype that has a `width_of`."""
    import numpy as np

    if dtype == "BF16":  # the upper half of an F32
        words = np.frombuffer(data, "<u2").astype("<u4") << np.uint32(16)
        wide: Numbers = words.view("<f4").astype(np.float64)
        return wide
    return np.frombuffer(data, _READ[dtype]).astype(np.float64)
