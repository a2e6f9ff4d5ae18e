"""The screens at 80x24: what a person sees without scrolling, held in files.

`PREFLIGHT_GOLDEN=write` writes them anew; a person reads the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from preflight.sandbox import Sandbox
from preflight.text import columns
from tests.running import command, environment, tiny_adapter
from tests.screens.pseudo_terminal import LINES, Screen, settled, show

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("PREFLIGHT_GOLDEN") == "write"
DESTINATION = "oss://preflight-sandbox/models/one/"
# Of different kinds, so that many rules fail at once.
MANY = (
    "rank-128",
    "dora",
    "bias-all",
    "rslora",
    "orig-mod",
    "nan-last",
    "modules-to-save",
    "beside-head",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """A directory, a sandbox, and a terminal to type in."""

    directory: Path
    env: dict[str, str]

    def type(self, *words: str, width: int = 80, **more: str) -> Screen:
        return show(
            command(*words), {**self.env, **more}, self.directory, columns=width
        )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Sandbox(directory=tmp_path / "sandbox") as box:
        values = {"TERM": "xterm", "LANG": "C.UTF-8", "TZ": "UTC", **box.environment()}
        env = environment(tmp_path / "home", values)
        for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "CI"):
            env.pop(name, None)
        place = tmp_path / "work"
        place.mkdir()
        yield Desk(place, env)


def golden(name: str, screen: Screen) -> None:
    """The screen is the one on file."""
    text = settled(screen.text)
    path = GOLDEN / f"{name}.txt"
    if WRITE:
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8"), f"PREFLIGHT_GOLDEN=write, and read {path}"
    assert max((columns(line) for line in screen.lines), default=0) <= 80


def test_a_good_adapter(desk: Desk) -> None:
    tiny_adapter(desk.directory / "good")
    screen = desk.type("check", "good")
    assert (screen.code, screen.scrolled) == (0, 0)
    golden("check-good", screen)


def test_a_broken_adapter_with_many_findings(desk: Desk) -> None:
    broken = tiny_adapter(desk.directory / "broken")
    for fault in (name for name in MANY if name in FAULTS):
        FAULTS[fault].apply(broken)
    screen = desk.type("check", "broken")
    assert screen.code == 1
    golden("check-broken", screen)
    assert screen.lines[-2].startswith("✘ NOT READY")
    assert screen.lines[-1].startswith("next  ")


def test_a_parent_of_checkpoints(desk: Desk) -> None:
    for number in (100, 200, 300):
        made = tiny_adapter(desk.directory / f"runs/checkpoint-{number}")
        for path in made.iterdir():
            os.utime(path, (1_790_000_000 + number,) * 2)
    FAULTS["nan-last"].apply(desk.directory / "runs/checkpoint-200")
    screen = desk.type("check", "runs")
    assert (screen.code, screen.scrolled) == (1, 0)
    golden("check-parent", screen)


def test_a_push_and_the_same_again_and_what_is_on_record(desk: Desk) -> None:
    tiny_adapter(desk.directory / "good")
    words = ("push", "good", DESTINATION, "--poll-interval", "0.05")
    first = desk.type(*words)
    assert (first.code, first.scrolled) == (0, 0)
    golden("push", first)
    again = desk.type(*words)
    assert (again.code, len(again.lines)) == (0, 3)
    golden("push-again", again)
    golden("jobs", desk.type("jobs"))
    golden("status", desk.type("status"))
    doctor = desk.type("doctor", DESTINATION)
    # The first line is the end of one that names the model, a new one each time.
    golden("doctor", replace(doctor, lines=doctor.lines[1:]))


def test_a_push_that_goes_on(desk: Desk) -> None:
    good = tiny_adapter(desk.directory / "good")
    words = ("push", "good", DESTINATION, "--poll-interval", "0.05")
    assert desk.type(*words).code == 0
    text = (good / "README.md").read_text("utf-8")
    (good / "README.md").write_text(f"{text}\nMore.\n", "utf-8")
    golden("push-live", desk.type(*words))
    screen = desk.type(*words, "--replace")
    assert (screen.code, screen.scrolled) == (0, 0)
    golden("push-resumed", screen)


WAYS = {
    "plain": {"NO_COLOR": "1"},
    "coloured": {"FORCE_COLOR": "1"},
    "dumb": {"TERM": "dumb"},
    "C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("width", [60, 80])
def test_every_terminal_shows_the_same_words(desk: Desk, way: str, width: int) -> None:
    tiny_adapter(desk.directory / "good")
    screen = desk.type("check", "good", width=width, **WAYS[way])
    assert screen.code == 0
    text = screen.text
    assert ("OK READY" if way == "C locale" else "✔ READY") in text
    assert "next  preflight push good" in text
    assert "LoRA rank 16" in text
    assert len(screen.lines) <= LINES
    if way == "C locale":
        assert text.isascii()
