"""Values that are changed on their way: exact, or refused, or measured."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from preflight.model.files import FileEntry, walk
from preflight.repair.tensors import Made, Origin
from preflight.repair.values import (
    Losses,
    NotExact,
    apart,
    content,
    nearest,
    numbers,
    written,
)

HALF, TWICE = Fraction(1, 2), Fraction(2)
LARGE = 2.0**99


def entry(path: Path, data: bytes) -> FileEntry:
    path.write_bytes(data)
    return next(each for each in walk(path.parent).entries if each.name == path.name)


def made(path: Path, dtype: str, shape: tuple[int, int], data: bytes) -> Made:
    origin = Origin(entry(path, data), dtype, shape, 0, len(data))
    return Made("m.lora_B.weight", dtype, shape, origin)


def f32(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def test_turning_and_filling_up_move_bits(tmp_path: Path) -> None:
    # A NaN with a payload, and minus zero, stay what they are to the last bit.
    data = bytes.fromhex("0100c07f") + f32(-0.0, 1.5, 2.0, 3.0, 4.0)
    one = made(tmp_path / "a", "F32", (2, 3), data)
    turned = content(replace(one, shape=(3, 2), turned=True), Losses())
    items = [data[at : at + 4] for at in range(0, 24, 4)]
    assert turned == b"".join(items[at] for at in (0, 3, 1, 4, 2, 5))
    filled = content(replace(one, shape=(4, 5)), Losses())
    rows = [filled[at : at + 20] for at in range(0, 80, 20)]
    assert rows[0] == data[:12] + bytes(8)
    assert rows[1] == data[12:] + bytes(8)
    assert rows[2] == rows[3] == bytes(20)


def test_terms_stand_side_by_side(tmp_path: Path) -> None:
    one = made(tmp_path / "a", "F32", (2, 1), f32(3.0, -5.0))
    terms = (TWICE, -HALF)
    wide = replace(one, shape=(2, 4), terms=terms, axis=1)
    found = np.frombuffer(content(wide, Losses()), "<f4").reshape(2, 4)
    assert found.tolist() == [[6.0, -1.5, 0.0, 0.0], [-10.0, 2.5, 0.0, 0.0]]


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
def test_what_cannot_be_held_is_refused_or_measured(dtype: str, tmp_path: Path) -> None:
    values = np.array([[1.0, 3.0]])
    one = made(tmp_path / "a", dtype, (1, 2), written(values, dtype))
    third = replace(one, terms=(Fraction(1, 3),))
    with pytest.raises(NotExact, match="cannot hold exactly"):
        content(third, Losses())
    losses = Losses()
    found = numbers(content(replace(third, rounded=True), losses), dtype)
    assert 0 < losses.largest < {"BF16": 2**-8, "F16": 2**-11, "F32": 2**-24}[dtype]
    assert np.allclose(found, values / 3, rtol=2**-8)


def test_a_power_of_two_that_leads_below_the_smallest_number_is_refused(
    tmp_path: Path,
) -> None:
    smallest = made(tmp_path / "a", "F16", (1, 1), b"\x01\x00")
    with pytest.raises(NotExact):
        content(replace(smallest, terms=(HALF,)), Losses())
    largest = made(tmp_path / "b", "F16", (1, 1), b"\xff\x7b")
    with pytest.raises(NotExact):
        content(replace(largest, terms=(TWICE,)), Losses())
    nan = made(tmp_path / "c", "F16", (1, 1), b"\x01\x7e")
    assert np.isnan(numbers(content(replace(nan, terms=(TWICE,)), Losses()), "F16"))


@given(
    arrays.arrays(np.float32, (3, 4), elements=st.floats(-LARGE, LARGE, width=32)),
    st.integers(-20, 20),
)
def test_bf16_times_a_power_of_two_is_exact_or_refused(
    values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], power: int
) -> None:
    half = numbers(written(values.astype(np.float64), "BF16"), "BF16")
    product = half * 2.0**power
    back = numbers(written(product, "BF16"), "BF16")
    assert (
        np.array_equal(back, product) or np.abs(product[back != product]).max() < 2e-38
    )


def test_rounding_is_to_the_nearest_and_to_even() -> None:
    one, step = 1.0, 2.0**-7
    given_values = np.array([one + step / 2, one + 1.5 * step, one + 0.51 * step])
    found = numbers(written(given_values, "BF16"), "BF16")
    assert found.tolist() == [one, one + 2 * step, one + step]
    assert np.isnan(numbers(written(np.array([np.nan]), "BF16"), "BF16"))[0]


@pytest.mark.parametrize(
    ("dtype", "patterns", "expected"),
    [
        ("F8_E4M3", b"\x00\x38\x7e\xb8", [0.0, 1.0, 448.0, -1.0]),
        ("F8_E5M2", b"\x00\x3c\x7b\xbc", [0.0, 1.0, 57344.0, -1.0]),
    ],
)
def test_eight_bits_are_read(
    dtype: str, patterns: bytes, expected: list[float]
) -> None:
    assert numbers(patterns, dtype).tolist() == expected
    assert np.isnan(numbers(b"\x7f", dtype))[0]


def test_the_nearest_of_a_smaller_rank_is_that_of_the_whole_product() -> None:
    """Against the decomposition of the product itself."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(12, 30)), random.normal(size=(20, 12))
    halves = nearest(a, b, 5)
    assert (halves["A"].shape, halves["B"].shape) == ((5, 30), (20, 5))
    u, sizes, vt = np.linalg.svd(b @ a)
    best = u[:, :5] * sizes[:5] @ vt[:5]
    assert np.allclose(halves["B"] @ halves["A"], best)
    lost = np.sqrt(np.sum(sizes[5:] ** 2) / np.sum(sizes**2))
    assert np.isclose(apart(a, b, halves["A"], halves["B"]), lost)
    assert apart(a, b, a, b) < 1e-12
    assert nearest(a[:3], b[:, :3], 5)["A"].shape == (3, 30)
