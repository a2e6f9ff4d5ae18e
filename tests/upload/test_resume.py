from __future__ import annotations

from preflight.oss.models import Part
from preflight.upload.resume import grid_of

K = 1024
USUAL = 400 * K


def parts(*sizes: tuple[int, int]) -> list[Part]:
    """Parts of (number, size in bytes)."""
    return [Part(number, "etag", size, 0) for number, size in sizes]


GRIDS: tuple[tuple[list[tuple[int, int]], int, int], ...] = (
    ([], 900 * K, USUAL),
    ([(1, 400 * K)], 900 * K, USUAL),
    ([(2, 200 * K)], 900 * K, 200 * K),
    ([(1, 200 * K), (4, 200 * K), (5, 100 * K)], 900 * K, 200 * K),
    ([(5, 50 * K)], 850 * K, 200 * K),  # the last part alone
    ([(1, 70 * K)], 70 * K, USUAL),  # a small file in one part
    ([(1, 200 * K), (2, 300 * K)], 900 * K, 0),
    ([(1, 200 * K), (2, 200 * K)], 300 * K, 0),  # of a longer file
    ([(1, 50 * K)], 900 * K, 0),  # less than OSS takes
    ([(9, 200 * K)], 900 * K, 0),  # beyond the end
    ([(1, 0)], 900 * K, 0),
)


def test_the_grid_is_derived_from_the_parts() -> None:
    for held, size, step in GRIDS:
        assert grid_of(parts(*held), size, USUAL) == step, held


def test_no_grid_of_more_than_ten_thousand_parts() -> None:
    size = 10_001 * 100 * K
    assert grid_of(parts((1, 100 * K)), size, 16 << 20) == 0
    assert grid_of(parts((1, 100 * K)), size - 100 * K, 16 << 20) == 100 * K
