"""kill -9 of any task of a shared push; the same command must set everything right.

As in `test_kill`, the instants are request numbers drawn from a seed. After each kill
the tasks that are left are killed, too, as srun does it, or go on to their end; and the
same command follows, by one, two or three tasks. `PREFLIGHT_KILLS` in the
environment says how many; few by default.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from preflight.crc import crc64
from preflight.sandbox import Sandbox
from tests.running import Run, command, ended, environment, started, until
from tests.sharded import BASE, build_sharded, importable, write_catalog
from tests.test_kill import Watch, begun, received

KILLS = int(os.environ.get("PREFLIGHT_KILLS", "2"))
IN_A_ROW = 3  # kills of one upload
REQUESTS = 80  # about as many as a push by two tasks makes
WORKERS, PART = 2, 100 << 10


@dataclass(frozen=True)
class Pusher:
    """The same command in processes of their own, as one task or as several."""

    box: Sandbox
    words: Sequence[str]
    env: dict[str, str]

    def commands(self, count: int, *more: str) -> list[list[str]]:
        """The words of each of so many tasks; of one alone those of a plain push."""
        if count == 1:
            return [[*self.words, *more]]
        return [[*self.words, "--task", f"{n}/{count}", *more] for n in range(count)]

    def killed(self, count: int, request: int, chance: random.Random) -> bool:
        """Run, and kill one task when all have made so many requests, if they ever do.

        Then the others are killed, or wait no longer than patience for what is gone.
        Whether any was killed, and did not end before.
        """
        before = begun(self.box)
        with ExitStack() as stack:
            tasks = [
                stack.enter_context(started(words, self.env))
                for words in self.commands(count, "--patience", "1")
            ]
            until(
                lambda: (
                    begun(self.box) - before >= request
                    or all(task.poll() is not None for task in tasks)
                )
            )
            chance.choice(tasks).kill()
            if chance.random() < 0.5:
                for task in tasks:
                    task.kill()
            runs = [ended(task, within=120) for task in tasks]
        return any(run.code < 0 for run in runs)

    def ended(self, count: int) -> list[Run]:
        """Run all tasks to their end."""
        with ExitStack() as stack:
            tasks = [
                stack.enter_context(started(words, self.env))
                for words in self.commands(count, "--patience", "60")
            ]
            return [ended(task, within=180) for task in tasks]


@dataclass(frozen=True)
class Place:
    """A model, where it may go, and the environment of every task."""

    model: Path
    box: Sandbox
    env: dict[str, str]

    def pusher(self, prefix: str) -> Pusher:
        words = command("push", self.model, f"oss://{self.box.bucket}/{prefix}")
        words += ["--base-model", BASE, "--part-size", "100K"]
        words += ["--workers", str(WORKERS), "--poll-interval", "0.1"]
        return Pusher(self.box, words, self.env)

    def lying(self, prefix: str) -> dict[str, int]:
        """The sums of all objects by name."""
        found = self.box.oss.objects(self.box.bucket, prefix)
        return {one.key.removeprefix(prefix): one.crc64 for one in found}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    catalog = write_catalog(tmp_path / "bases")
    monkeypatch.setenv("PREFLIGHT_BASES", str(catalog))
    model = build_sharded(tmp_path / "model")
    with Sandbox(directory=tmp_path / "box", bases=[importable()]) as box:
        values = {**box.environment(), "PREFLIGHT_BASES": str(catalog)}
        yield Place(model, box, environment(tmp_path / "home", values))
        box.check()


@pytest.fixture
def chance() -> random.Random:
    return random.Random(20261126)  # noqa: S311


def kills_in_a_row(pusher: Pusher, most: int, chance: random.Random) -> int:
    """Kill it again and again, at first as two tasks; how often that came in time."""
    for row in range(most):
        count = 2 if not row else chance.randint(1, 3)
        if not pusher.killed(count, chance.randint(1, REQUESTS), chance):
            return row  # it came to its end: nothing more can be spoilt
    return most


@pytest.mark.timeout(120 + 60 * KILLS)
def test_the_same_command_sets_right_what_kills_of_any_task_leave(
    place: Place, chance: random.Random
) -> None:
    box, model = place.box, place.model
    expected = {path.name: crc64(path.read_bytes()) for path in model.iterdir()}
    size = sum(path.stat().st_size for path in model.iterdir())
    watch, killed = Watch(box, expected), 0
    for number in itertools.count():
        if killed >= KILLS:
            break
        prefix, before = f"models/k{number}/", received(box)
        pusher = place.pusher(prefix)
        row = kills_in_a_row(pusher, min(IN_A_ROW, KILLS - killed), chance)
        runs = pusher.ended(chance.randint(1, 3))
        assert {run.code for run in runs} == {0}, [run.err for run in runs]
        assert place.lying(prefix) == expected
        assert box.oss.uploads(box.bucket) == []
        lost = row * 3 * WORKERS * PART  # on their way in each of three tasks
        assert received(box) - before <= size + lost + (16 << 10)
        jobs = [job for job in box.studio.jobs() if job.source.prefix == prefix]
        assert len(jobs) == 1
        killed += row
    assert watch.wrong == []


@pytest.mark.timeout(120 + 60 * KILLS)
def test_what_would_not_import_is_never_visible_whatever_is_killed(
    place: Place, chance: random.Random
) -> None:
    """One NaN, in the last bytes of one file: whoever has read it may be killed."""
    box, seen = place.box, []
    path = max(place.model.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-2] + b"\xff\x7f")
    box.oss.on_change(lambda _, key: seen.append(key))
    killed = turn = 0
    while killed < KILLS:
        pusher, turn = place.pusher(f"models/k{turn}/"), turn + 1
        killed += kills_in_a_row(pusher, min(IN_A_ROW, KILLS - killed), chance)
        runs = pusher.ended(chance.randint(1, 3))
        assert runs[0].code == 1, runs[0].err
        assert {run.code for run in runs[1:]} <= {0, 1}, [run.err for run in runs]
        assert box.oss.uploads(box.bucket) == []
    assert seen == []
    assert box.studio.jobs() == ()
