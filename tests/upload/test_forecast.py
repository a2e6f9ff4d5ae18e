"""The plan and the times that are told before an upload."""

from __future__ import annotations

from pathlib import Path

from preflight.destination import parse_destination
from preflight.upload.forecast import forecast
from preflight.upload.parts import TransferOptions
from preflight.upload.plan import UploadItem, UploadPlan

PLACE = "oss://bucket/models/x/"


def told(*sizes: int, part_size: int = 0) -> list[str]:
    items = tuple(
        UploadItem(f"models/x/{n}", str(n), size, Path(str(n)))
        for n, size in enumerate(sizes)
    )
    plan = UploadPlan(parse_destination(PLACE), items)
    return list(forecast(plan, TransferOptions(workers=4, part_size=part_size)))


def test_a_large_model_is_told_with_parts_and_times() -> None:
    assert told(*[3 * 10**9] * 5, 1_000, part_size=16 << 20) == [
        f"plan  6 files, 15.0 GB, to {PLACE}",
        "      896 parts of at most 16.8 MB, 4 connections",
        "time  1 min 15 s at 200 MB/s, 5 min 00 s at 50 MB/s, 25 min 00 s at 10 MB/s",
    ]


def test_a_small_one_takes_no_time_worth_a_line() -> None:
    assert told(1_000) == [f"plan  1 file, 1.0 kB, to {PLACE}"]
