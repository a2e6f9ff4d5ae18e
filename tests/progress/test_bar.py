"""The bar, on terminals that obey what is written to them."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from typing import TextIO, cast

import pyte
import pytest

from preflight.progress import SENDING
from preflight.progress.bar import BarProgress, undrawn
from preflight.terminal import Terminal, unfailing
from tests.manual_clock import ManualClock


class Screen:
    """A terminal of so many columns, and what was written to it."""

    def __init__(self, columns: int = 80) -> None:
        self.screen = pyte.Screen(columns, 24)
        self._stream = pyte.Stream(self.screen)
        self.encoding = "utf-8"
        self.written = ""

    def write(self, text: str) -> int:
        self.written += text
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]


def bar_on(screen: object, clock: ManualClock, *, width: int = 80) -> BarProgress:
    out = cast("TextIO", screen)
    return BarProgress(out, clock.now, ticking=False, width=width)


def test_an_upload_is_drawn_at_once_over_itself_and_leaves_nothing() -> None:
    out, clock = Screen(), ManualClock()
    progress = bar_on(out, clock)
    with progress:
        progress.start(14_600_000_000, SENDING)
        assert out.lines == ["uploading   0 %  ░░░░░░░░░░░░░  0 B of 14.6 GB  0 B/s"]
        progress.advance(6_000_000_000)
        for part in range(1, 4):
            clock.sleep(1)
            progress.flow("model-00003-of-00005.safetensors", part, 1_000_000_000)
        assert out.lines == [
            "uploading  61 %  ███████░░░░░░  9.0 GB of 14.6 GB  1.0 GB/s, 6 s left",
            "  model-00003-of-00005.safetensors",
        ]
        with undrawn():
            assert out.lines == []
            out.write("job 1 created\n")
        assert out.lines[0] == "job 1 created"
        assert len(out.lines) == 3
        clock.sleep(25)
        progress.tick()
        assert len(out.lines) == 3
        assert "9.0 GB of 14.6 GB  no byte for 25 s" in out.lines[1]
    assert out.lines == ["job 1 created"]
    assert (out.screen.cursor.x, out.screen.cursor.y) == (0, 1)


def test_what_was_there_is_told_where_there_is_room() -> None:
    for width, told in ((80, False), (120, True)):
        out, clock = Screen(width), ManualClock()
        with bar_on(out, clock, width=width) as progress:
            progress.start(14_600_000_000, SENDING)
            progress.advance(6_000_000_000)  # an earlier run's
            clock.sleep(1)
            progress.sent(300_000_000)
            progress.advance(300_000_000)
            assert "░  6.3 GB of 14.6 GB  300.0 MB/s, 28 s left" in out.lines[0]
            assert out.lines[0].endswith(" (6.0 GB were there)") is told


def test_a_narrow_or_plain_terminal_has_its_bar_too() -> None:
    """The bar becomes shorter before the words do, and words that are cut say so."""
    for width, bar in ((71, "######......."), (62, "##.."), (59, ".")):
        out, clock = Screen(), ManualClock()
        out.encoding = "ascii"
        with bar_on(out, clock, width=width) as progress:
            progress.start(1_000_000, "scanning")
            clock.sleep(1)
            progress.advance(500_000)
            rest = "500.0 kB of 1.0 MB  500.0 kB/s, 1 s left"
            assert out.lines == [f"scanning  50 %  {bar}  {rest}"]
            assert len(out.lines[0]) == width
    out, clock = Screen(40), ManualClock()
    with bar_on(out, clock, width=40) as progress:
        progress.start(1_000_000, SENDING)
        assert out.lines == ["uploading   0 %  ░  0 B of 1.0 MB  0 B/s"]
        clock.sleep(1)
        progress.flow("a" * 50, 1, 500_000)
        assert out.lines == [
            "uploading  50 %  ░  500.0 kB of 1.0 M...",
            f"  {'a' * 35}...",
        ]


def test_a_file_s_name_moves_no_cursor_and_stays_on_its_line() -> None:
    """Wide characters take two columns; what a terminal would obey is shown."""
    out, clock = Screen(40), ManualClock()
    with bar_on(out, clock, width=40) as progress:
        progress.start(1000, SENDING)
        for name in ("模型权重" * 10, "a\x1b[2J\nb\u202ec"):
            clock.sleep(1)
            progress.flow(name, 1, 10)
            assert len(out.lines) == 2
            assert len(out.lines[1].encode("gbk", "replace")) <= 40
        assert out.lines[1] == r"  a\x1b[2J\nb\u202ec"
    assert out.lines == []


def test_what_ends_before_the_first_look_needs_no_bar_and_no_tqdm() -> None:
    script = """if True:
        import io, sys
        from preflight.progress import ProgressMode, make_progress
        out = io.StringIO()
        with make_progress(ProgressMode.BAR, stream=out, clock=lambda: 0.0) as bar:
            bar.start(10, "scanning")
            bar.advance(10)
        print(repr(out.getvalue()), sorted({"tqdm", "oss2"} & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "'' []\n"


def test_messages_from_threads_stay_whole_above_the_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, clock = Screen(), ManualClock()
    monkeypatch.setattr(sys, "stderr", out)
    screen = Terminal()

    def work(number: int) -> None:
        for count in range(4):
            progress.flow(f"file-{number}", number, count * 100)
            screen.say(f"worker {number} sent {count}")

    progress = bar_on(unfailing(cast("TextIO", out)), clock)
    with progress:
        progress.start(10_000, SENDING)
        threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.sleep(1)
        progress.tick()
        told = [f"worker {n} sent {count}" for n in range(5) for count in range(4)]
        assert sorted(out.lines[:-2]) == sorted(told)
        assert out.lines[-2].startswith("uploading  15 %  █")
    assert sorted(out.lines) == sorted(told)


class Failing(io.StringIO):
    """A stream that is full."""

    def write(self, text: str) -> int:  # noqa: ARG002 - as a stream has it
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_or_closed_stream_ends_nothing() -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (Failing(), closed, None):
        clock = ManualClock()
        with bar_on(unfailing(stream), clock) as progress:
            progress.start(1000, SENDING)
            clock.sleep(1)
            progress.flow("model.safetensors", 1, 500)
            with undrawn():
                pass


@pytest.fixture
def pty() -> Iterator[tuple[int, TextIO]]:
    """The two ends of a terminal: what a person holds, and what a program writes to."""
    person, program = os.openpty()
    with os.fdopen(program, "w", encoding="utf-8") as stream:
        yield person, stream
    os.close(person)


def resize(person: int, columns: int) -> None:
    fcntl.ioctl(person, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def test_the_bar_has_the_width_that_the_terminal_has_now(
    pty: tuple[int, TextIO],
) -> None:
    """A window that is made smaller or larger is drawn in its new width."""
    person, stream = pty
    resize(person, 120)
    clock = ManualClock()
    progress = bar_on(stream, clock, width=0)
    with progress:
        progress.start(14_600_000_000, SENDING)
        progress.advance(6_000_000_000)
        os.read(person, 1 << 16)
        for columns in (120, 40, 80):
            resize(person, columns)
            clock.sleep(1)
            progress.tick()
            screen = Screen(columns)
            screen.write(os.read(person, 1 << 16).decode().replace("\r\n", "\n"))
            assert [len(line) <= columns for line in screen.lines] == [True]
            assert ("(6.0 GB were there)" in screen.lines[0]) is (columns > 40)
            assert ("41 %  █████░░░░░░░░  " in screen.lines[0]) is (columns > 40)
