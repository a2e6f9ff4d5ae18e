"""kill -9 of a push of several directories; the same command must set all right.

As in `test_kill`, the instants are request numbers drawn from a seed, which fall in
uploads of several directories at once, between their jobs and in the wait for these.
`PREFLIGHT_KILLS` in the environment says how many; few by default.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from preflight.sandbox import Sandbox
from tests.running import command, ended, environment, started, tiny_adapter
from tests.test_kill import kill_at

KILLS = int(os.environ.get("PREFLIGHT_KILLS", "2"))
IN_A_ROW = 2  # kills of one sweep
DIRECTORIES = 4
REQUESTS = 30 * DIRECTORIES  # more than a sweep makes


@pytest.mark.timeout(120 + 40 * KILLS)
def test_the_same_command_ends_in_one_model_a_directory(tmp_path: Path) -> None:
    runs = [
        tiny_adapter(tmp_path / f"runs/r{number}/adapter", seed=number)
        for number in range(DIRECTORIES)
    ]
    chance = random.Random(20261126)  # noqa: S311
    for first in range(0, KILLS, IN_A_ROW):
        with Sandbox() as box:
            box.studio.policy.job_seconds = chance.choice([0.0, 1.0])
            env = environment(tmp_path / f"home{first}", box.environment())
            url = f"oss://{box.bucket}/sweep/{{parent}}-{{digest}}/"
            words = command("push", *runs, url, "--part-size", "100K")
            words += ["--poll-interval", "0.1"]
            for _ in range(min(IN_A_ROW, KILLS - first)):
                kill_at(words, env, box, chance.randint(1, REQUESTS))
                made = [job.source.prefix for job in box.studio.jobs()]
                assert len(made) == len(set(made))
            with started(words, env) as process:
                done = ended(process, within=180)
            assert done.code == 0, done.err
            jobs = box.studio.jobs()
            names = sorted(job.source.prefix.split("/")[1][:2] for job in jobs)
            assert names == [f"r{number}" for number in range(DIRECTORIES)]
            assert all(box.studio.model_is_valid(job.id) for job in jobs)
            assert box.oss.uploads(box.bucket) == []
            box.check()
