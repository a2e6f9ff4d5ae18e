"""The examples of the README's section on the sandbox, run as they stand there."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import FaultPlan
from tests.launcher import launcher
from tests.running import ROOT, Run, environment, run, run_script, tiny_adapter
from tests.sandbox.test_plugin import PLUGIN, is_installed

_EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)


def examples() -> dict[str, str]:
    text = (ROOT / "README.md").read_text("utf-8")
    return dict(_EXAMPLE.findall(text))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A stranger's project: an adapter, the examples, and `preflight` on the path."""
    folder = tmp_path / "project"
    tiny_adapter(folder / "out/adapter")
    for name, text in examples().items():
        (folder / name).write_text(text, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    script = folder / "bin/preflight"
    script.parent.mkdir()
    launcher(script)
    return folder


def env_of(project: Path, values: Mapping[str, str]) -> dict[str, str]:
    env = environment(project / "home", values)
    return {**env, "PATH": f"{project / 'bin'}{os.pathsep}{env['PATH']}"}


def run_in(project: Path, *words: str, **values: str) -> Run:
    env = env_of(project, values)
    return run(["env", f"--chdir={project}", *words], env)


def test_there_is_one_of_each() -> None:
    assert set(examples()) == {
        "from_python.py",
        "shell",
        "faults.json",
        "manager.py",
        "Makefile",
        "test_release.py",
    }


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_the_shell(project: Path, shell: str) -> None:
    done = run_in(project, shell, "-eu", "shell")
    assert done.code == 0, done.err
    assert "IMPORTED" in done.out


def test_the_context_manager(project: Path) -> None:
    done = run_script(examples()["manager.py"], env_of(project, {}), cwd=project)
    assert done.code == 0, done.err


def test_from_python(project: Path, sandbox: Sandbox) -> None:
    words = (sys.executable, "-W", "ignore", "from_python.py")
    done = run_in(project, *words, **sandbox.environment())
    assert (done.code, done.err) == (0, "")
    (job,) = sandbox.studio.jobs()
    assert f"\n{job.model_name}\ncurl -X POST " in done.out
    FAULTS["rank-128"].apply(project / "out/adapter")
    env = env_of(project, sandbox.environment())
    done = run_script(examples()["from_python.py"], env, cwd=project)
    assert done.code == 1
    assert done.out.startswith("C02 ")
    assert done.err.startswith("the model would not import as it is\n  C02 ")


def test_the_makefile_and_its_test(project: Path) -> None:
    plugin = [] if is_installed() else ["-p", PLUGIN]
    words = ["-m", "pytest", "-q", *plugin, "test_release.py"]
    done = run_in(project, sys.executable, *words)
    assert done.code == 0, done.out + done.err
    assert "2 passed" in done.out
    report = json.loads((project / "release.json").read_text("utf-8"))
    assert report["exit_code"] == 0


def test_the_fault_plan() -> None:
    plan = FaultPlan.from_json(json.loads(examples()["faults.json"]))
    assert plan.due("oss", "UploadPart", "m/a.safetensors") == ()
    assert len(plan.due("oss", "UploadPart", "m/a.safetensors")) == 1
    assert len(plan.due("studio", "CreateImportJob")) == 1
