"""Against crcmod, an implementation that shares nothing with the fast one."""

from __future__ import annotations

import os
from collections.abc import Callable

import crcmod  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as some

from preflight.crc import combine, combine_all, crc64

_ALL_ONES = (1 << 64) - 1
_oracle: Callable[[bytes], int] = crcmod.mkCrcFun(
    0x1_42F0_E1EB_A9EA_3693, initCrc=0, xorOut=_ALL_ONES, rev=True
)


def test_the_published_check_value() -> None:
    assert crc64(b"123456789") == 0x995D_C9BB_DF19_39FA
    assert crc64(b"") == 0


@given(some.binary(max_size=300))
def test_it_is_the_sum_that_oss_names(data: bytes) -> None:
    assert crc64(data) == _oracle(data)


@pytest.mark.parametrize("size", [1, 255, 256, 4096, 65_537, 1_000_003])
def test_large_buffers_of_every_kind(size: int) -> None:
    data = os.urandom(size)
    expected = _oracle(data)
    assert crc64(data) == expected
    assert crc64(bytearray(data)) == expected
    assert crc64(memoryview(b"x" + data)[1:]) == expected


@given(some.binary(max_size=200), some.binary(max_size=200))
def test_continuing_and_combining_give_the_whole(first: bytes, second: bytes) -> None:
    whole = _oracle(first + second)
    assert crc64(second, crc64(first)) == whole
    assert combine(crc64(first), crc64(second), len(second)) == whole


@given(some.lists(some.binary(max_size=50), max_size=8))
def test_any_number_of_parts_combine(parts: list[bytes]) -> None:
    found = combine_all((crc64(part), len(part)) for part in parts)
    assert found == _oracle(b"".join(parts))


def test_lengths_beyond_any_buffer() -> None:
    # Zeros of 2^40 bytes, built by doubling, against the same with a part in front.
    zeros, length = crc64(b"\0"), 1
    while length < 1 << 40:
        zeros, length = combine(zeros, zeros, length), length * 2
    front = crc64(b"model")
    left = combine(combine(front, zeros, length), zeros, length)
    right = combine(front, combine(zeros, zeros, length), 2 * length)
    assert left == right
    assert left != front
