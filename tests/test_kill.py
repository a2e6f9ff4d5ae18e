"""kill -9 at any instant of a push; the same command must set everything right.

The instants are request numbers drawn from a seed, so that kills fall in the lists
before the transfer, in parts, in completions and in what comes after. `PREFLIGHT_KILLS`
in the environment says how many; few by default.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from preflight.crc import crc64
from preflight.sandbox import Sandbox
from tests.running import command, ended, environment, started, until
from tests.sharded import BASE, build_sharded, importable, write_catalog

KILLS = int(os.environ.get("PREFLIGHT_KILLS", "6"))
IN_A_ROW = 3  # kills of one upload
REQUESTS = 90  # more than a push makes
WORKERS, PART = 3, 100 << 10


class Watch:
    """Holds each object against its local file in the moment it becomes visible."""

    def __init__(self, box: Sandbox, expected: dict[str, int]) -> None:
        self._box, self._expected = box, expected
        self.wrong: list[str] = []
        box.oss.on_change(self._look)

    def _look(self, bucket: str, key: str) -> None:
        name = key.rpartition("/")[2]
        if name.startswith(".preflight-probe-"):
            return
        if self._box.oss.object(bucket, key).crc64 != self._expected[name]:
            self.wrong.append(key)


def begun(box: Sandbox) -> int:
    """Requests to OSS so far."""
    return box.oss_endpoint.log_calls.count()


def kill_at(words: list[str], env: dict[str, str], box: Sandbox, request: int) -> None:
    """Run, and kill the process when it has made so many requests, if it ever does."""
    before = begun(box)
    with started(words, env) as process:
        until(lambda: begun(box) - before >= request or process.poll() is not None)
        process.kill()
        process.wait()


@pytest.mark.timeout(120 + 40 * KILLS)
def test_the_same_command_sets_right_what_kills_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = write_catalog(tmp_path / "bases")
    monkeypatch.setenv("PREFLIGHT_BASES", str(catalog))
    model = build_sharded(tmp_path / "model")
    expected = {path.name: crc64(path.read_bytes()) for path in model.iterdir()}
    size = sum(path.stat().st_size for path in model.iterdir())
    chance = random.Random(20261123)  # noqa: S311
    killed = 0
    with Sandbox(directory=tmp_path / "box", bases=[importable()]) as box:
        watch = Watch(box, expected)
        values = {**box.environment(), "PREFLIGHT_BASES": str(catalog)}
        env = environment(tmp_path / "home", values)
        while killed < KILLS:
            row = min(IN_A_ROW, KILLS - killed)
            prefix = f"models/k{killed}/"
            words = command("push", model, f"oss://{box.bucket}/{prefix}")
            words += ["--base-model", BASE, "--part-size", "100K"]
            words += ["--workers", str(WORKERS), "--poll-interval", "0.1"]
            before = received(box)
            for _ in range(row):
                kill_at(words, env, box, chance.randint(1, REQUESTS))
            with started(words, env) as process:
                done = ended(process, within=180)
            assert done.code == 0, done.err
            found = box.oss.objects(box.bucket, prefix)
            sums = {one.key.removeprefix(prefix): one.crc64 for one in found}
            assert sums == expected
            assert box.oss.uploads(box.bucket) == []
            assert received(box) - before <= size + row * WORKERS * PART
            killed += row
        box.check()
    assert watch.wrong == []


def received(box: Sandbox) -> int:
    """Bytes of parts and objects that came in so far."""
    log = box.oss_endpoint.log_calls
    return log.bytes_received("UploadPart") + log.bytes_received("PutObject")
