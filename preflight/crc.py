"""CRC-64/XZ, the checksum OSS returns as `x-oss-hash-crc64ecma`, and its combination.

Polynomial 0x42F0E1EBA9EA3693 reflected, initial value and final xor all ones:
https://www.alibabacloud.com/help/en/oss/developer-reference/check-data-transmission-integrity-by-using-crc-64
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from fastcrc import crc64 as _fast

_POLY = 0xC96C5795D7870F42  # the reflected form of 0x42F0E1EBA9EA3693
_ONE = 1 << 63  # the polynomial 1, lowest power in the highest bit


def crc64(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The CRC-64/XZ of `data`, continuing from `crc` (0 to start)."""
    return int(_fast.xz(data, crc))


def _multiply(a: int, b: int) -> int:
    """a times b modulo the polynomial, both reflected."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFF_FFFF_FFFF_FFFF
        b = (b >> 1) ^ (_POLY if b & 1 else 0)
    return product


@lru_cache(maxsize=256)
def _shift(length: int) -> int:
    """x to the power of 8 * length: what appending `length` bytes multiplies by."""
    power, square, bits = _ONE, _ONE >> 1, 8 * length
    while bits:
        if bits & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        bits >>= 1
    return power


def combine(first: int, second: int, second_length: int) -> int:
    """The CRC of two pieces laid end to end; `second_length` is in bytes."""
    return _multiply(first, _shift(second_length)) ^ second


def combine_all(parts: Iterable[tuple[int, int]]) -> int:
    """The CRC of a whole from the (crc, length in bytes) of its parts in order."""
    total = 0
    for crc, length in parts:
        total = combine(total, crc, length)
    return total
