"""The screens at 80x24: what a person sees without scrolling, held in files.

`PREFLIGHT_GOLDEN=write` writes them anew; a person reads the difference.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault
from preflight.text import columns
from tests.running import command, environment, tiny_adapter
from tests.screens.pseudo_terminal import LINES, Screen, settled, show

GOLDEN = Path(__file__).parent / "golden"
WRITE = os.environ.get("PREFLIGHT_GOLDEN") == "write"
DESTINATION = "oss://preflight-sandbox/models/one/"
QUICK = ("--poll-interval", "0.05")
# Of different kinds, so that so many rules fail at once.
FIFTEEN = (
    "rank-128",
    "dora",
    "bias-all",
    "orig-mod",
    "nan-last",
    "beside-head",
    "rslora",
    "base-coder",
    "unknown-key",
    "task-classification",
    "target-not-in-file",
    "template-extra",
    "incomplete",
    "b-some-zero",
    "pissa",
)
SAVED = 1_790_000_000  # seconds; when the oldest checkpoint was


@dataclass(frozen=True, slots=True)
class Desk:
    """A directory, a sandbox, and a terminal to type in."""

    directory: Path
    env: dict[str, str]
    box: Sandbox

    def type(
        self,
        *words: str,
        kill_when: Callable[[], bool] | None = None,
        **more: str,
    ) -> Screen:
        env = {**self.env, **more}
        return show(command(*words), env, self.directory, kill_when=kill_when)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Sandbox(directory=tmp_path / "sandbox") as box:
        values = {"TERM": "xterm", "LANG": "C.UTF-8", "TZ": "UTC", **box.environment()}
        env = environment(tmp_path / "home", values)
        for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "CI", "SSH_CONNECTION"):
            env.pop(name, None)
        place = tmp_path / "work"
        place.mkdir()
        yield Desk(place, env, box)


def golden(name: str, screen: Screen) -> None:
    """The screen is the one on file, and leaves a line for the prompt."""
    text = settled(screen.text)
    path = GOLDEN / f"{name}.txt"
    if WRITE:
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8"), f"PREFLIGHT_GOLDEN=write, and read {path}"
    assert max((columns(line) for line in screen.lines), default=0) <= 80
    assert len(screen.lines) < LINES


def test_a_good_adapter(desk: Desk) -> None:
    tiny_adapter(desk.directory / "good")
    screen = desk.type("check", "good")
    assert (screen.code, screen.scrolled) == (0, 0)
    golden("check-good", screen)


def test_a_broken_adapter_with_fifteen_findings(desk: Desk) -> None:
    broken = tiny_adapter(desk.directory / "broken")
    for fault in FIFTEEN:
        FAULTS[fault].apply(broken)
    screen = desk.type("check", "broken")
    assert screen.code == 1
    golden("check-broken", screen)
    document = desk.type("check", "broken", "--format", "json", "--output", "r.json")
    assert document.code == 1
    told = json.loads((desk.directory / "r.json").read_text("utf-8"))
    failed = [o["code"] for o in told["outcomes"] if o["result"] == "failed"]
    assert len(failed) == 15
    # All of them stand on the last screen, though their details have scrolled away.
    brief = screen.lines[screen.lines.index("in short:") + 1 :][:15]
    assert sorted(line.split()[1] for line in brief) == sorted(failed)
    assert screen.lines[-1].startswith("next  ")


def test_a_parent_of_checkpoints(desk: Desk) -> None:
    for number in (100, 200, 300, 400):
        made = tiny_adapter(desk.directory / f"runs/checkpoint-{number}")
        if number == 400:
            FAULTS["nan-last"].apply(made)
        for path in made.iterdir():
            os.utime(path, (SAVED + number,) * 2)
    screen = desk.type("check", "runs")
    assert (screen.code, screen.scrolled) == (1, 0)
    golden("check-parent", screen)


def test_a_push_and_the_same_again_and_what_is_on_record(desk: Desk) -> None:
    tiny_adapter(desk.directory / "good")
    words = ("push", "good", DESTINATION, *QUICK)
    first = desk.type(*words)
    assert (first.code, first.scrolled) == (0, 0)
    golden("push", first)
    again = desk.type(*words)
    assert (again.code, len(again.lines)) == (0, 3)
    golden("push-again", again)
    golden("doctor", desk.type("doctor", DESTINATION))
    text = (desk.directory / "good/README.md").read_text("utf-8")
    (desk.directory / "good/README.md").write_text(f"{text}\nMore.\n", "utf-8")
    golden("push-live", desk.type(*words))
    golden("push-replaced", desk.type(*words, "--replace"))
    desk.box.studio.policy.service_role = False
    other = DESTINATION.replace("one", "two")
    golden("push-failed", desk.type("push", "good", other, *QUICK))
    golden("jobs", desk.type("jobs"))
    golden("status", desk.type("status"))
    desk.box.oss.set_tags(desk.box.bucket, {})
    golden("doctor-untagged", desk.type("doctor", DESTINATION))


def test_a_push_that_was_killed_half_way_goes_on(desk: Desk) -> None:
    """Killed when some parts are in the bucket; then the same command again."""
    tiny_adapter(desk.directory / "good")
    oss, bucket = desk.box.oss, desk.box.bucket

    def is_half_way() -> bool:
        uploads = [u for u in oss.uploads(bucket) if u.key.endswith(".safetensors")]
        return sum(len(oss.parts(bucket, u.key, u.id)) for u in uploads) == 6

    held = Fault(
        service="oss",
        operation="UploadPart",
        action=Action.LATENCY,
        nth=7,
        seconds=600,
        times="always",
    )
    desk.box.faults.add(held)
    words = ("push", "good", DESTINATION, *QUICK)
    slowly = ("--part-size", "100K", "--bandwidth-limit", "1M")
    killed = desk.type(*words, *slowly, kill_when=is_half_way)
    assert killed.code == -9
    desk.box.faults.clear()
    golden("status-killed", desk.type("status"))
    screen = desk.type(*words, *slowly)
    assert (screen.code, screen.scrolled) == (0, 0)
    golden("push-resumed", screen)
    assert "were sent now, " in screen.text
    assert len(desk.box.studio.jobs()) == 1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22"}, True),
        ({"SSH_CONNECTION": "10.0.0.1 5000 10.0.0.2 22", "TMUX": "x"}, False),
        ({}, False),
    ],
)
def test_over_ssh_a_long_push_says_once_that_it_survives_the_line(
    desk: Desk, values: dict[str, str], *, told: bool
) -> None:
    """A sparse gigabyte, killed when the note would have been said."""
    good = tiny_adapter(desk.directory / "good")
    with (good / "LICENSE").open("wb") as file:
        file.truncate(1_100_000_000)
    oss, bucket = desk.box.oss, desk.box.bucket

    def has_sent() -> bool:
        """One worker has a part in the bucket: it was said before that was sent."""
        uploads = [u for u in oss.uploads(bucket) if u.key.endswith("LICENSE")]
        return any(list(oss.parts(bucket, u.key, u.id)) for u in uploads)

    slowly = ("--bandwidth-limit", "4M", "--workers", "1", "--part-size", "1M")
    screen = desk.type(
        "push", "good", DESTINATION, *slowly, kill_when=has_sent, **values
    )
    words = " ".join(screen.text.split())
    assert (words.count("note when this SSH line is cut") == 1) == told
    assert f"preflight push good {DESTINATION}" in words or not told
