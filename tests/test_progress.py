from __future__ import annotations

import io
import json
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from preflight.progress import (
    SENDING,
    NoProgress,
    ProgressMode,
    human_size,
    human_time,
    make_progress,
)
from preflight.progress.bar import BarProgress
from preflight.progress.events import JsonProgress
from preflight.progress.lines import LineProgress
from preflight.progress.meter import Meter
from tests.running import until


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


NOW = datetime(2026, 11, 26, 12, 30, 5, tzinfo=timezone(timedelta(hours=8)))


def lines_of(out: io.StringIO, clock: Clock) -> LineProgress:
    return LineProgress(out, clock, ticking=False, now=lambda: NOW)


def test_lines_come_every_thirty_seconds_also_when_nothing_moves() -> None:
    """With the local time and its offset."""
    out, clock = io.StringIO(), Clock()
    progress = lines_of(out, clock)
    with progress:
        progress.start(4_000_000, "scanning")
        for count in (1_000_000, 1_000_000, 0, 0):
            clock.now += 15
            progress.tick()
            if count:
                progress.advance(count)
            clock.now += 1
            progress.tick()
    at = "2026-11-26 12:30:05 +0800  scanning: "
    assert out.getvalue().splitlines() == [
        f"{at}1.0 MB of 4.0 MB (25 %), no byte for 16 s",
        f"{at}2.0 MB of 4.0 MB (50 %), no byte for 32 s",
        f"{at}2.0 MB of 4.0 MB (50 %) after 1 min 04 s",
    ]


def test_bytes_on_their_way_count_and_those_that_were_there_are_told_apart() -> None:
    out, clock = io.StringIO(), Clock()
    progress = lines_of(out, clock)
    with progress:
        progress.start(100_000_000, SENDING)
        progress.advance(40_000_000)  # an earlier run's
        progress.flow("model.safetensors", 1, 10_000_000)
        clock.now += 30
        progress.tick()
        # The part is sent anew from its beginning: what was told before does not count.
        progress.flow("model.safetensors", 1, 4_000_000)
        clock.now += 30
        progress.tick()
        progress.flow("model.safetensors", 1, 0)
        progress.sent(16_000_000)
        progress.advance(16_000_000)
        clock.now += 30
        progress.tick()
    told = [line.partition("uploading: ")[2] for line in out.getvalue().splitlines()]
    assert told[0].startswith("50.0 MB of 100.0 MB (50 %), no byte for 30 s (40.0 MB ")
    assert told[1].startswith("44.0 MB of 100.0 MB (44 %), ")
    assert told[2] == (
        "56.0 MB of 100.0 MB (56 %), no byte for 30 s (40.0 MB were there), "
        "model.safetensors"
    )


def test_the_rate_is_this_run_s_own() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.start(100, SENDING)
    meter.advance(60)
    clock.now += 1
    assert meter.look().rate == 0  # all of it lay there
    assert meter.look().left is None
    meter.sent(10)
    meter.advance(10)
    clock.now += 1
    moment = meter.look()
    assert (moment.kept, moment.rate) == (60, 5.0)
    assert moment.left == 6.0


def test_events_for_programs() -> None:
    out, clock = io.StringIO(), Clock()
    progress = JsonProgress(out, clock, ticking=False, now=lambda: NOW)
    with progress:
        progress.start(1000, "scanning")
        for _ in range(4):  # the second one is told: a second has passed
            clock.now += 0.5
            progress.advance(100)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {line["event"] for line in lines} == {"progress"}
    assert {line["time"] for line in lines} == {"2026-11-26T12:30:05.000+08:00"}
    told = [(line["done"], line["total"], line["seconds"]) for line in lines]
    assert told == [
        (0, 1000, 0.0),
        (200, 1000, 1.0),
        (400, 1000, 2.0),
        (400, 1000, 2.0),
    ]


def test_an_interrupted_stage_says_how_far_it_came() -> None:
    out, clock = io.StringIO(), Clock()

    def work() -> None:
        with lines_of(out, clock) as progress:
            progress.start(1000, "upload")
            progress.advance(250)
            clock.now += 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert out.getvalue().endswith("  upload: 250 B of 1.0 kB (25 %) after 2 s\n")


@pytest.mark.parametrize(("seconds", "lines"), [(1.9, 0), (2.0, 1)])
def test_a_stage_that_is_over_at_once_is_not_worth_a_line(
    seconds: float, lines: int
) -> None:
    out, clock = io.StringIO(), Clock()
    progress = lines_of(out, clock)
    with progress:
        progress.start(1000, "scanning")
        clock.now += seconds
        progress.advance(1000)
    assert len(out.getvalue().splitlines()) == lines


def test_a_new_stage_ends_the_one_before_and_finish_may_come_twice() -> None:
    out, clock = io.StringIO(), Clock()
    progress = lines_of(out, clock)
    progress.start(10, "scan")
    clock.now += 3
    progress.start(0, "verify")
    clock.now += 4
    progress.finish()
    progress.finish()
    told = [line.partition("+0800  ")[2] for line in out.getvalue().splitlines()]
    assert told == [
        "scan: 0 B of 10 B (0 %) after 3 s",
        "verify: 0 B of 0 B (100 %) after 4 s",
    ]


def test_the_thread_tells_without_being_asked() -> None:
    """Nothing moves, and still there are events: of a clock that a thread looks at."""
    out, clock = io.StringIO(), Clock()
    progress = JsonProgress(out, clock)
    progress.start(10, "uploading")

    def told() -> bool:
        clock.now += 2
        return len(out.getvalue().splitlines()) > 3

    until(told)
    progress.finish()
    assert json.loads(out.getvalue().splitlines()[2])["idle"] > 1


@pytest.mark.parametrize(
    ("mode", "stream", "kind"),
    [
        (ProgressMode.AUTO, io.StringIO(), LineProgress),
        (ProgressMode.AUTO, Terminal(), LineProgress),  # of no size
        (ProgressMode.LINES, Terminal(), LineProgress),
        (ProgressMode.BAR, io.StringIO(), BarProgress),
        (ProgressMode.JSON, Terminal(), JsonProgress),
        (ProgressMode.OFF, Terminal(), NoProgress),
    ],
)
def test_the_mode_decides(mode: ProgressMode, stream: io.StringIO, kind: type) -> None:
    assert type(make_progress(mode, stream=stream)) is kind


def test_off_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with make_progress(ProgressMode.OFF) as progress:
        progress.start(10, "upload")
        progress.advance(10)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1.6e9, "1.6 GB"),
        (1.45e11, "145.0 GB"),
        (2e12, "2000.0 GB"),
    ],
)
def test_sizes_are_readable(count: float, text: str) -> None:
    assert human_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599, "59 min 59 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_times_are_readable(seconds: float, text: str) -> None:
    assert human_time(seconds) == text
