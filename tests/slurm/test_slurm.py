"""The examples for Slurm, on a real one with two nodes: `make test-slurm`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from preflight.sandbox import Sandbox
from tests.running import (
    ROOT,
    command,
    environment,
    run,
    state_files,
    tiny_adapter,
    until,
)

pytestmark = [
    pytest.mark.skipif(not os.environ.get("PREFLIGHT_SLURM"), reason="make test-slurm"),
    pytest.mark.timeout(600),
]

EXAMPLES = ROOT / "docs/examples/slurm"
TWO_NODES = Path(__file__).with_name("two-nodes.sh")
SLOW = ("--part-size", "256K", "--workers", "1", "--bandwidth-limit", "512K")


@dataclass(frozen=True)
class Cluster:
    """Where jobs are submitted from, and in which environment."""

    folder: Path
    env: dict[str, str]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def submit(self, *words: str) -> str:
        return self.run("sbatch", "--parsable", *words)

    def told(self, job: str) -> list[dict[str, str]]:
        """What Slurm says of a job, or of each task of an array."""
        lines = self.run("scontrol", "show", "job", "-o", job).splitlines()
        return [
            dict(word.split("=", 1) for word in line.split() if "=" in word)
            for line in lines
        ]

    def log(self, job: str) -> str:
        return (self.folder / f"slurm-{job}.out").read_text("utf-8")

    def ended(self, job: str) -> dict[str, str]:
        """The job at its end.

        One that was requeued need not wait for two minutes, but until its node is free:
        the end of its last run would pass for that of the next. And not begin within
        the second in which its last run was ended: slurmd, which compares whole
        seconds, says "already killed, do not launch" of it then.
        """
        over = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL")
        idle_since: dict[str, float] = {}  # by the number of the run

        def is_over() -> bool:
            (told,) = self.told(job)
            waits = told["JobState"] == "PENDING" and told["Reason"] == "BeginTime"
            if waits and self.run("sinfo", "-h", "-o", "%T %D") == "idle 2":
                since = idle_since.setdefault(told["Restarts"], time.time())
                if time.time() > since + 2:
                    self.run("scontrol", "update", f"JobId={job}", "StartTime=now")
            return told["JobState"] in over

        until(is_over, within=300)
        return self.told(job)[0]


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("slurm")
    try:
        subprocess.run([str(TWO_NODES), "start", str(place)], check=True, timeout=60)
        yield place / "slurm.conf"
    finally:
        subprocess.run([str(TWO_NODES), "stop", str(place)], check=True, timeout=60)


@pytest.fixture
def cluster(tmp_path: Path, conf: Path, sandbox: Sandbox) -> Cluster:
    folder, binaries = tmp_path / "project", tmp_path / "bin"
    for each in (folder, binaries):
        each.mkdir()
    script = binaries / "preflight"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m preflight "$@"\n')
    script.chmod(0o755)
    for example in EXAMPLES.iterdir():
        shutil.copy(example, folder)
    env = environment(tmp_path / "home", sandbox.environment())
    env["PATH"] = f"{binaries}{os.pathsep}{env['PATH']}"
    env["SLURM_CONF"] = str(conf)
    return Cluster(folder, env)


def parts_in(box: Sandbox) -> int:
    """How many parts unfinished uploads have."""
    state = box.oss
    begun = state.uploads(box.bucket)
    return sum(len(state.parts(box.bucket, u.key, u.id)) for u in begun)


def sent_by_runs(cluster: Cluster) -> list[int]:
    """The bytes that each run sent, as far as it came to tell."""
    home = Path(cluster.env["HOME"])
    documents = [json.loads(path.read_text("utf-8")) for path in state_files(home)]
    return [each["upload"]["sent"] for each in documents if each["upload"]]


def test_a_job_imports_a_model(cluster: Cluster, sandbox: Sandbox) -> None:
    tiny_adapter(cluster.folder / "out/adapter")
    url = f"oss://{sandbox.bucket}/models/{{name}}-{{digest}}/"
    job = cluster.submit("import.sbatch", "out/adapter", url)
    assert cluster.ended(job)["JobState"] == "COMPLETED", cluster.log(job)
    (made,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(made.id)
    assert "IMPORTED" in cluster.log(job)


def test_a_requeue_in_the_middle_ends_in_one_model(
    cluster: Cluster, sandbox: Sandbox
) -> None:
    build_adapter(cluster.folder / "out/adapter", base="qwen3-8b", tiny=True, rank=64)
    url = f"oss://{sandbox.bucket}/models/one/"
    job = cluster.submit("import.sbatch", "out/adapter", url, *SLOW)
    until(lambda: parts_in(sandbox) >= 4)
    cluster.run("scontrol", "requeue", job)
    ended = cluster.ended(job)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1")
    (made,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(made.id)
    whole = sum(one.size for one in sandbox.oss.objects(sandbox.bucket))
    assert 0 < sent_by_runs(cluster)[-1] <= whole - 4 * (256 << 10)


def test_a_job_whose_time_is_over_goes_on_in_another_run(
    cluster: Cluster, sandbox: Sandbox
) -> None:
    """Slurm warns a minute before, and counts in minutes: some 70 seconds of work."""
    build_adapter(cluster.folder / "out/adapter", base="qwen3-8b", tiny=True, rank=64)
    url = f"oss://{sandbox.bucket}/models/one/"
    slow = (*SLOW[:-1], "100K")
    limits = ("--time=1", "--signal=TERM@30")
    job = cluster.submit(*limits, "import.sbatch", "out/adapter", url, *slow)
    ended = cluster.ended(job)
    assert ended["JobState"] == "COMPLETED", cluster.log(job)
    assert int(ended["Restarts"]) >= 1
    assert "terminated" in cluster.log(job)
    (made,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(made.id)


def test_an_array_over_a_sweep(cluster: Cluster, sandbox: Sandbox) -> None:
    for name in ("lr1e-4", "lr2e-4", "lr5e-4"):
        tiny_adapter(cluster.folder / "out/sweep" / name)
    FAULTS["nan-last"].apply(cluster.folder / "out/sweep/lr5e-4")
    url = f"oss://{sandbox.bucket}/sweep/{{name}}-{{digest}}/"
    job = cluster.submit("--array=0-2%2", "sweep.sbatch", url)
    until(
        lambda: all(
            task["JobState"] in ("COMPLETED", "FAILED") for task in cluster.told(job)
        )
    )
    states = {task["ArrayTaskId"]: task["JobState"] for task in cluster.told(job)}
    assert states == {"0": "COMPLETED", "1": "COMPLETED", "2": "FAILED"}
    names = {
        made.source.prefix[: len("sweep/lr1e-4")] for made in sandbox.studio.jobs()
    }
    assert names == {"sweep/lr1e-4", "sweep/lr2e-4"}
    report = json.loads((cluster.folder / "out/sweep/lr5e-4.json").read_text("utf-8"))
    assert report["exit_code"] == 1
    places = sorted(
        str(path) for path in (cluster.folder / "out/sweep").glob("lr*[0-9]")
    )
    told = run(command("push", *places, url), cluster.env)
    assert "2 IMPORTED ALREADY, 1 NOT READY" in told.out
    assert len(sandbox.studio.jobs()) == 2


def test_two_nodes_bring_in_one_model(cluster: Cluster, sandbox: Sandbox) -> None:
    build_adapter(cluster.folder / "out/adapter", base="qwen3-8b", tiny=True, rank=64)
    url = f"oss://{sandbox.bucket}/models/one/"
    job = cluster.submit("share.sbatch", "out/adapter", url, "--part-size", "256K")
    assert cluster.ended(job)["JobState"] == "COMPLETED", cluster.log(job)
    (made,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(made.id)
    assert "0: ✔ IMPORTED" in cluster.log(job)
    assert "1: ✔ SHARE UPLOADED" in cluster.log(job)
    whole = sum(one.size for one in sandbox.oss.objects(sandbox.bucket))
    sent = sent_by_runs(cluster)
    assert sum(sent) == whole
    assert max(sent) < whole * 2 // 3
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_a_requeue_of_two_nodes_in_the_middle_ends_in_one_model(
    cluster: Cluster, sandbox: Sandbox
) -> None:
    build_adapter(cluster.folder / "out/adapter", base="qwen3-8b", tiny=True, rank=64)
    url = f"oss://{sandbox.bucket}/models/one/"
    job = cluster.submit("share.sbatch", "out/adapter", url, *SLOW)
    until(lambda: parts_in(sandbox) >= 8)
    cluster.run("scontrol", "requeue", job)
    ended = cluster.ended(job)
    assert (ended["JobState"], ended["Restarts"]) == ("COMPLETED", "1")
    (made,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(made.id)
    whole = sum(one.size for one in sandbox.oss.objects(sandbox.bucket))
    assert 0 < sum(sent_by_runs(cluster)[-2:]) <= whole - 4 * (256 << 10)
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_a_batch_script_without_srun_waits_for_nobody(
    cluster: Cluster, sandbox: Sandbox
) -> None:
    tiny_adapter(cluster.folder / "out/adapter")
    url = f"oss://{sandbox.bucket}/models/one/"
    words = f"preflight push --share out/adapter {url}"
    job = cluster.submit("--nodes=2", "--ntasks=2", "--wrap", words)
    assert cluster.ended(job)["JobState"] == "FAILED"
    assert "put srun before the command" in cluster.log(job)
