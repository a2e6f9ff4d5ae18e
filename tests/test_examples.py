"""The examples for CI and Kubernetes: valid by their schemas, and their steps run."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from fixtures.faults import FAULTS
from preflight.sandbox import Sandbox
from tests.launcher import launcher
from tests.running import ROOT, Run, environment, run, tiny_adapter

EXAMPLES = ROOT / "docs/examples"


def read(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((EXAMPLES / name).read_text("utf-8"))
    return found


def test_the_readme_shows_them_as_they_are() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"```make\n{(EXAMPLES / 'Makefile').read_text('utf-8')}```" in readme
    sft = (EXAMPLES / "train_sft.py").read_text("utf-8")
    assert f"```python\n{sft[sft.index('SFTTrainer(') :]}```" in readme
    named = set(re.findall(r"\]\(docs/examples/?([^)]*)\)", readme))
    assert all((EXAMPLES / name).exists() for name in named)
    top = {path.name for path in EXAMPLES.iterdir()}
    assert {name.partition("/")[0] for name in named} == top


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("github-actions.yml", "vendor.github-workflows"),
        ("gitlab-ci.yml", "vendor.gitlab-ci"),
    ],
)
def test_a_workflow_is_valid(name: str, schema: str, tmp_path: Path) -> None:
    # Which every worker would wait for.
    from check_jsonschema import main  # type: ignore[import-untyped]

    def judged(path: Path) -> int:
        words = ["--builtin-schema", schema]
        if "gitlab" in schema:
            words += ["--data-transform", "gitlab-ci"]
        return (
            CliRunner()
            .invoke(main, [*words, str(path)], catch_exceptions=False)
            .exit_code
        )

    assert judged(EXAMPLES / name) == 0
    broken = tmp_path / name
    text = (EXAMPLES / name).read_text("utf-8")
    broken.write_text(re.sub(r"\b(needs|retry): ?", r"\1: [{}]\n#", text), "utf-8")
    assert judged(broken) == 1


def test_the_job_is_valid() -> None:
    import kubernetes_validate  # which every worker would wait for

    job = read("kubernetes-job.yaml")
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(job, version, strict=True)
    del job["spec"]["template"]["spec"]["containers"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, version, strict=True)


class Project:
    """A checkout with an adapter, `preflight` on the path, and keys of a sandbox."""

    def __init__(self, folder: Path, box: Sandbox) -> None:
        self.folder, self.box = folder, box
        self.adapter = tiny_adapter(folder / "out/adapter")
        script = folder / "bin/preflight"
        script.parent.mkdir()
        launcher(script, hurry=True)

    def run(self, script: str, **values: str) -> Run:
        script = script.replace("my-bucket", self.box.bucket)
        values = {k: v.replace("my-bucket", self.box.bucket) for k, v in values.items()}
        env = environment(self.folder / "home", {**values, **self.box.environment()})
        env["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{env['PATH']}"
        words = ["env", f"--chdir={self.folder}", "bash", "-e", "-o", "pipefail", "-c"]
        return run([*words, script], env)


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox) -> Project:
    return Project(tmp_path, sandbox)


def steps_of(job: dict[str, Any]) -> list[str]:
    """What a job of GitHub Actions runs itself, but for the installation."""
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs.pop(0) == "pip install modelstudio-preflight"
    return runs


def test_the_steps_of_github_actions(project: Project) -> None:
    flow = read("github-actions.yml")
    values = {**flow["env"], "GITHUB_ACTIONS": "true"}
    (check,), (push,) = map(steps_of, flow["jobs"].values())
    assert project.run(check, **values).code == 0
    assert project.run(push, **values).code == 0
    assert len(project.box.studio.jobs()) == 1
    assert (project.folder / "report.html").exists()
    FAULTS["nan-last"].apply(project.adapter)
    done = project.run(check, **values)
    assert done.code == 1
    assert "::error " in done.err


def test_the_scripts_of_gitlab(project: Project) -> None:
    flow = read("gitlab-ci.yml")
    for name in ("check", "import"):
        done = project.run("\n".join(flow[name]["script"]), **flow["variables"])
        assert done.code == 0, done.err
    assert len(project.box.studio.jobs()) == 1
    for path in ("check.xml", "report.html", "report.json"):
        assert (project.folder / path).exists()


def test_the_container_of_the_job(project: Project) -> None:
    spec = read("kubernetes-job.yaml")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    words = [*container["command"], *container["args"]]
    script = shlex.join(words).replace("/models/out", f"{project.folder}/out")
    keys = {one["name"]: one["value"] for one in container["env"]}
    assert set(keys) == {"OSS_REGION", "HOME"}
    done = project.run(script)
    assert done.code == 0, done.err
    assert len(project.box.studio.jobs()) == 1
