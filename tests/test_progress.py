from __future__ import annotations

import io
import json
from dataclasses import dataclass

import pytest

from preflight.progress import (
    BarProgress,
    LineProgress,
    NoProgress,
    ProgressMode,
    human_size,
    human_time,
    make_progress,
)


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_come_every_thirty_seconds_and_at_the_end() -> None:
    out, clock = io.StringIO(), Clock()
    with make_progress(stream=out, clock=clock) as progress:
        progress.start(4_000_000, "upload")
        for _ in range(4):
            clock.now += 20
            progress.advance(1_000_000)
    assert out.getvalue().splitlines() == [
        "upload: 2.0 MB of 4.0 MB (50%), 50.0 kB/s, about 40 s left",
        "upload: 4.0 MB of 4.0 MB (100%), 50.0 kB/s",
        "upload: 4.0 MB of 4.0 MB (100%) after 1 min 20 s",
    ]


def test_json_lines_for_programs() -> None:
    out, clock = io.StringIO(), Clock()
    with make_progress(ProgressMode.JSON, stream=out, clock=clock) as progress:
        progress.start(1000, "uploading")
        for _ in range(4):  # the second one is told: a second has passed
            clock.now += 0.5
            progress.advance(100)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert lines == [
        {"stage": "uploading", "done": done, "total": 1000, "seconds": seconds}
        for done, seconds in [(0, 0.0), (200, 1.0), (400, 2.0), (400, 2.0)]
    ]


def test_an_interrupted_stage_says_how_far_it_came() -> None:
    out, clock = io.StringIO(), Clock()

    def work() -> None:
        with make_progress(stream=out, clock=clock) as progress:
            progress.start(1000, "upload")
            progress.advance(250)
            clock.now += 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert out.getvalue() == "upload: 250 B of 1.0 kB (25%) after 2 s\n"


@pytest.mark.parametrize(("seconds", "lines"), [(1.9, 0), (2.0, 1)])
def test_a_stage_that_is_over_at_once_is_not_worth_a_line(
    seconds: float, lines: int
) -> None:
    out, clock = io.StringIO(), Clock()
    with make_progress(stream=out, clock=clock) as progress:
        progress.start(1000, "scanning")
        clock.now += seconds
        progress.advance(1000)
    assert len(out.getvalue().splitlines()) == lines


def test_a_new_stage_ends_the_one_before_and_finish_may_come_twice() -> None:
    out, clock = io.StringIO(), Clock()
    progress = make_progress(stream=out, clock=clock)
    progress.start(10, "scan")
    clock.now += 3
    progress.start(0, "verify")
    clock.now += 4
    progress.finish()
    progress.finish()
    assert out.getvalue().splitlines() == [
        "scan: 0 B of 10 B (0%) after 3 s",
        "verify: 0 B of 0 B (100%) after 4 s",
    ]


def test_a_terminal_gets_a_bar_that_ends_with_a_newline() -> None:
    out = Terminal()
    with BarProgress(out, delay=0) as progress:
        progress.start(2_000_000, "upload")
        progress.advance(2_000_000)
    text = out.getvalue()
    assert "upload" in text
    assert "100%" in text
    assert text.endswith("\n")
    progress.advance(1)  # after the end: no bar to move, no error
    assert out.getvalue() == text


def test_a_stage_that_is_over_at_once_has_no_bar() -> None:
    out = Terminal()
    with BarProgress(out, delay=60) as progress:
        progress.start(2_000_000, "scanning")
        progress.advance(2_000_000)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("mode", "stream", "kind"),
    [
        (ProgressMode.AUTO, io.StringIO(), LineProgress),
        (ProgressMode.AUTO, Terminal(), BarProgress),
        (ProgressMode.LINES, Terminal(), LineProgress),
        (ProgressMode.BAR, io.StringIO(), BarProgress),
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


def test_stderr_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with make_progress(clock=clock) as progress:
        progress.start(10, "upload")
        clock.now += 5
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("upload: 0 B of 10 B")


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
