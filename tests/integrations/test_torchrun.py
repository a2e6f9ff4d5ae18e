"""Two tasks of a real torchrun push one model: `make test-integrations`."""

from __future__ import annotations

from pathlib import Path

import pytest

from preflight.sandbox import Sandbox
from tests.integrations.environments import python_of
from tests.running import command, environment, run, tiny_adapter


@pytest.mark.timeout(300)
def test_its_tasks_are_told_apart_by_what_it_sets(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    torchrun = Path(python_of("transformers-5")).with_name("torchrun")
    adapter = tiny_adapter(tmp_path / "adapter")
    words = [str(torchrun), "--standalone", "--nproc-per-node", "2", "--no-python"]
    words += command("push", "--share", adapter, f"oss://{sandbox.bucket}/m/")
    words += ["--part-size", "256K", "--poll-interval", "0.1"]
    done = run(words, environment(tmp_path / "home", sandbox.environment()), 280)
    assert done.code == 0, done.err
    assert "IMPORTED" in done.out
    assert "SHARE UPLOADED" in done.out
    (made,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(made.id)
    assert sandbox.oss.uploads(sandbox.bucket) == []
