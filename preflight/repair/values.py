"""The values of a tensor that is not only moved: read, changed, written, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from preflight.errors import PreflightError
from preflight.language import say
from preflight.model.dtypes import BITS
from preflight.model.floats import numbers as read_numbers
from preflight.model.steady import open_steady
from preflight.model.tallies import FORMATS
from preflight.repair.tensors import LARGEST, ONCE, Made, Origin

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Wide = npt.NDArray[np.float64]

_NATIVE = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_EIGHT = ("F8_E4M3", "F8_E5M2")
WIDENED = (*_NATIVE, "BF16", *_EIGHT)
"""Formats whose values can be read as numbers."""


class NotExact(PreflightError):
    """A value would have had to be rounded, which was not allowed."""

    exit_code = 1


@dataclass
class Losses:
    """How far what was rounded or reduced is from what it was, relative, by module."""

    relative: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """Keep the larger loss of a name."""
        self.relative[name] = max(value, self.relative.get(name, 0.0))

    @property
    def largest(self) -> float:
        """The largest of all."""
        return max(self.relative.values(), default=0.0)


def numbers(data: bytes, dtype: str) -> Wide:
    """The values of `data` in 64 bits, exactly."""
    import numpy as np

    if dtype in _EIGHT:
        eight: Wide = _eight_bits(dtype)[np.frombuffer(data, "u1")]
        return eight
    return read_numbers(data, dtype)


def _eight_bits(dtype: str) -> Wide:
    """What each of the 256 patterns stands for."""
    import numpy as np

    form, table = FORMATS[dtype], []
    for pattern in range(256):
        magnitude = pattern & 0x7F
        value = form.decode(magnitude)
        if magnitude >= form.infinity:
            infinite = magnitude == form.infinity and dtype == "F8_E5M2"
            value = float("inf") if infinite else float("nan")
        table.append(-value if pattern & 0x80 else value)
    return np.array(table, np.float64)


def written(values: Wide, dtype: str) -> bytes:
    """The values in `dtype`, each rounded to the nearest that it holds."""
    import numpy as np

    with np.errstate(all="ignore"):
        if dtype != "BF16":
            return values.astype(_NATIVE[dtype]).tobytes()
        words = np.ascontiguousarray(values, "<f4").view("<u4")
        odd = (words >> np.uint32(16)) & np.uint32(1)
        rounded = (words + np.uint32(0x7FFF) + odd) >> np.uint32(16)
        # Rounding carries the upper bits of a NaN away: those are cut instead.
        halves = np.where(np.isnan(values), words >> np.uint32(16), rounded)
        return bytes(halves.astype("<u2").tobytes())


def _raw(origin: Origin) -> Array:
    """The elements as they lie in the file, opaque, in the tensor's own order."""
    import numpy as np

    width = BITS[origin.dtype] // 8
    with open_steady(origin.file.real_path, origin.file.name, origin.file.stamp) as f:
        data = np.frombuffer(f.read(origin.start, origin.size), f"V{width}")
        f.check_unchanged()
    if origin.strides is None:
        return data.reshape(origin.shape)
    steps = tuple(stride * width for stride in origin.strides)
    return np.lib.stride_tricks.as_strided(data, origin.shape, steps, writeable=False)


def content(made: Made, losses: Losses) -> bytes:
    """The bytes of a tensor that is changed on its way.

    Raises `NotExact` for a value that cannot be held and may not be rounded, and what
    reading raises.
    """
    import numpy as np

    if made.origin.size > LARGEST:
        told = say(
            "{name} has {size:,} bytes, too many to be changed",
            name=made.name,
            size=made.origin.size,
        )
        raise NotExact(told, hint=say("save it again in the form that is needed"))
    if made.reduced is not None:
        return _reduced(made, losses)
    raw = _raw(made.origin)
    raw = raw.T if made.turned else raw
    if made.dtype == made.origin.dtype and set(made.terms) == set(ONCE):
        whole = np.zeros(made.shape, raw.dtype)
        _fill(whole, [raw] * len(made.terms), made.axis)
        return whole.tobytes()
    values = numbers(np.ascontiguousarray(raw).tobytes(), made.origin.dtype)
    return _converted(made, values.reshape(raw.shape), losses)


def _fill(whole: Array, blocks: Sequence[Array], axis: int) -> None:
    """Put the blocks one behind the other along an axis; the rest stays zero."""
    at = 0
    for block in blocks:
        place = [slice(0, length) for length in block.shape]
        if place:
            end = at + block.shape[axis]
            place[axis], at = slice(at, end), end
        whole[tuple(place)] = block


def _converted(made: Made, values: Wide, losses: Losses) -> bytes:
    """The values times the terms in the format wanted, checked one by one."""
    import numpy as np

    with np.errstate(all="ignore"):
        blocks = [values * float(term) for term in made.terms]
    whole = np.zeros(made.shape, np.float64)
    _fill(whole, blocks, made.axis)
    data = written(whole, made.dtype)
    back = numbers(data, made.dtype).reshape(made.shape)
    if not np.array_equal(back, whole, equal_nan=True):
        if not made.rounded:
            told = say(
                "{name} holds a value that {dtype} cannot hold exactly",
                name=made.name,
                dtype=made.dtype,
            )
            raise NotExact(
                told, hint=say("--round lets it be rounded, and tells the loss")
            )
        losses.note(made.name, _distance(back, whole))
    return data


def _distance(found: Wide, wanted: Wide) -> float:
    """The norm of the difference as a share of the norm."""
    import numpy as np

    with np.errstate(all="ignore"):
        norm = float(np.linalg.norm(wanted))
        return float(np.linalg.norm(found - wanted)) / norm if norm else 0.0


def matrix(made: Made) -> Wide:
    """The values that a tensor will have, in 64 bits."""
    data = content(made, Losses())
    return numbers(data, made.dtype).reshape(made.shape)


def _reduced(made: Made, losses: Losses) -> bytes:
    """One half of the nearest update of a smaller rank (Eckart and Young)."""
    import numpy as np

    assert made.reduced is not None  # noqa: S101 - its caller asked
    cut = made.reduced
    halves, loss = _halves(cut.a, cut.b, cut.rank, made.dtype)
    losses.note(cut.b.name, loss)
    whole = np.zeros(made.shape, np.float64)  # a small layer may have fewer dimensions
    _fill(whole, [halves[cut.half]], 0)
    return written(whole, made.dtype)


@lru_cache(maxsize=1)  # the two halves of a module are written one after the other
def _halves(
    first: Made, second: Made, rank: int, dtype: str
) -> tuple[dict[str, Wide], float]:
    """Both halves, and how far their product will be from what it was."""
    import numpy as np

    a, b = matrix(first), matrix(second)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise NotExact(
            say(
                "{name} holds NaN or Inf, so that it has no nearest one",
                name=second.name,
            )
        )
    halves = nearest(a, b, rank)
    back = {
        half: numbers(written(values, dtype), dtype).reshape(values.shape)
        for half, values in halves.items()
    }
    return halves, apart(a, b, back["A"], back["B"])


def apart(a: Wide, b: Wide, c: Wide, d: Wide) -> float:
    """How far d·c is from b·a, as a share of the norm of b·a.

    The difference is one product, of [d, -b] and [c; a], whose norm is that of the
    product of two small triangles.
    """
    import numpy as np

    norm = product_norm(a, b)
    difference = product_norm(np.vstack([c, a]), np.hstack([d, -b]))
    return difference / norm if norm else 0.0


def product_norm(a: Wide, b: Wide) -> float:
    """The Frobenius norm of b·a, which is not made: that of two small triangles."""
    import numpy as np

    # The annotations of numpy know but one of qr's modes.
    left, right = (np.asarray(np.linalg.qr(each, mode="r")) for each in (b, a.T))
    return float(np.linalg.norm(left @ right.T))


def nearest(a: Wide, b: Wide, rank: int) -> dict[str, Wide]:
    """Halves of at most `rank` whose product is nearest to b·a.

    The product itself is never made: with a = RᵀQᵀ and b = PS it is P(S·Rᵀ)Qᵀ, and the
    small matrix in the middle has the same singular values.
    """
    import numpy as np

    p, s = np.linalg.qr(b)
    q, r = np.linalg.qr(a.T)
    u, sizes, vt = np.linalg.svd(s @ r.T)
    rank = min(rank, len(sizes))
    root = np.sqrt(sizes[:rank])
    first, second = root[:, None] * (vt[:rank] @ q.T), (p @ u[:, :rank]) * root
    return {"A": first, "B": second}
