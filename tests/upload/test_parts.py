from __future__ import annotations

from typing import Any

import pytest

from preflight.errors import UsageError
from preflight.upload.parts import (
    KIB,
    MAX_PART,
    MIB,
    PART,
    TransferOptions,
    fitting_part,
    last_part,
    part_size,
    wanted_part,
)

GIB = 1 << 30


def test_parts_grow_with_the_file() -> None:
    for size, part in (
        (MIB, PART),
        (1000 * PART, PART),
        (1000 * PART + 1, 2 * PART),
        (145 * GIB, 16 * PART),
        (4000 * GIB, 4 * GIB),
        (40_000 * GIB, 4 * GIB),
    ):
        assert part_size(size) == part <= MAX_PART
        assert -(-size // part) <= 10_000


def test_a_file_that_oss_cannot_hold() -> None:
    with pytest.raises(UsageError, match="larger than OSS allows"):
        part_size(40_000 * GIB + 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": 65}, "65 workers"),
        ({"workers": -1}, "-1 workers"),
        ({"part_size": 100 * KIB - 1}, "part size"),
        ({"part_size": (5 << 30) + 1}, "part size"),
        ({"bandwidth": -1}, "negative"),
    ],
)
def test_impossible_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        TransferOptions(**options)


@pytest.mark.parametrize(
    ("total", "part"),
    [(0, 4), (1 << 20, 4), (300 << 20, 16), (1 << 30, 32), (145 << 30, 32)],
)
def test_the_usual_part_gives_each_worker_its_share(total: int, part: int) -> None:
    chosen = wanted_part([total // 2, total // 2], TransferOptions(workers=4))
    assert chosen == part << 20
    assert wanted_part([total], TransferOptions(part_size=200_000)) == 200_000


def test_far_away_the_last_files_have_finer_parts() -> None:
    asked = TransferOptions(part_size=200_000)
    parts = [last_part(32 << 20, TransferOptions(), each) for each in (None, 0.001)]
    assert parts == [32 << 20] * 2
    assert last_part(32 << 20, TransferOptions(), 0.2) == 8 << 20
    assert last_part(4 << 20, TransferOptions(), 0.2) == 4 << 20
    assert last_part(200_000, asked, 0.2) == 200_000


def test_parts_of_slow_connections_are_smaller() -> None:
    usual, mb = TransferOptions(), 1e6
    rates = [0, 100 * mb, 4.2 * mb, 3 * mb, 0.6 * mb, 0.01 * mb]
    parts = [fitting_part(32 << 20, rate, usual) >> 20 for rate in rates]
    assert parts == [32, 32, 32, 16, 4, 4]
    assert fitting_part(200_000, 1, usual) == 200_000
    assert fitting_part(32 << 20, 1, TransferOptions(part_size=32 << 20)) == 32 << 20
