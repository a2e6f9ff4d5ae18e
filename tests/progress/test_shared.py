"""One progress over several uploads."""

from __future__ import annotations

from preflight.progress.meter import Meter, Moment
from preflight.progress.protocol import Progress
from preflight.progress.shared import PlacedProgress, SharedProgress


class Shown(Progress):
    """What a person would see."""

    def __init__(self) -> None:
        self.meter = Meter(lambda: 0.0)

    def start(self, total: int, label: str) -> None:
        self.meter.start(total, label)

    def advance(self, count: int) -> None:
        self.meter.advance(count)

    def sent(self, count: int) -> None:
        self.meter.sent(count)

    def flow(self, file: str, part: int, count: int) -> None:
        self.meter.flow(file, part, count)

    def finish(self) -> None:
        self.meter.end()

    def look(self) -> Moment:
        return self.meter.look()


def test_the_whole_is_the_sum_of_the_shares() -> None:
    shown = Shown()
    whole = SharedProgress(shown, 100)
    one, other = whole.share("1/2  a"), whole.share("2/2  b")
    one.start(60, "uploading")
    other.start(40, "comparing")
    one.flow("w.safetensors", 1, 20)
    other.advance(40)
    now = shown.look()
    assert (now.total, now.done, now.moving, now.kept) == (100, 40, 20, 40)
    assert now.file == "1/2  a/w.safetensors"
    one.finish()  # broken off: nothing of it is on its way any more
    assert shown.look().moving == 0


def test_what_was_compared_and_is_sent_all_the_same_counts_once() -> None:
    shown = Shown()
    share = SharedProgress(shown, 40).share("a")
    share.start(40, "comparing")
    share.advance(40)
    share.start(40, "uploading")
    assert shown.look().done == 0
    share.advance(10)
    share.sent(10)
    share.start(5, "scanning")  # reads what is counted elsewhere
    share.advance(5)
    now = shown.look()
    assert (now.done, now.kept) == (10, 0)


def test_a_stage_without_files_names_its_place() -> None:
    shown = Shown()
    placed = PlacedProgress(shown, "3/9  runs/a")
    placed.start(10, "scanning")
    placed.advance(4)
    now = shown.look()
    assert (now.stage, now.file, now.done) == ("scanning", "3/9  runs/a", 4)
    placed.finish()
    assert shown.look().stage == ""
