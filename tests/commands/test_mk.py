"""The include for Makefiles, with the real make, from a stranger's project."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from preflight.commands.mk import INCLUDE, for_make
from preflight.sandbox import Sandbox
from tests.launcher import launcher
from tests.running import ROOT, Run, environment, run, tiny_adapter, until

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make")

FIVE_LINES = (ROOT / "docs/examples/Makefile").read_text("utf-8")
QUICK = "PREFLIGHT_FLAGS = --poll-interval 0.05 --progress off\n"


@dataclass
class Project:
    """A directory with a Makefile, and `preflight` on the path."""

    folder: Path
    env: dict[str, str]

    def write(self, text: str, name: str = "Makefile") -> None:
        (self.folder / name).write_text(text, "utf-8")

    def make(self, *words: str, within: str = ".") -> Run:
        return run(["make", "-C", str(self.folder / within), *words], self.env)

    def imported(self, name: str = "out/adapter.imported") -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / name).read_text("utf-8"))
        return found


@pytest.fixture
def project(tmp_path: Path, sandbox: Sandbox) -> Project:
    folder, binaries = tmp_path / "project", tmp_path / "bin"
    for each in (folder, binaries):
        each.mkdir()
    (binaries / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (binaries / "python").chmod(0o755)
    launcher(binaries / "preflight")
    env = environment(tmp_path / "home", sandbox.environment())
    env["PATH"] = f"{binaries}{os.pathsep}{env['PATH']}"
    for name in ("MAKEFLAGS", "MAKELEVEL"):
        env.pop(name, None)
    made = Project(folder, env)
    made.write(FIVE_LINES.replace("my-bucket", sandbox.bucket) + QUICK)
    train = "from fixtures.adapters import build_adapter\nfrom pathlib import Path\n"
    train += "build_adapter(Path('out/adapter'), base='qwen3-8b', tiny=True)\n"
    made.write(train, "train.py")
    return made


def test_five_lines_get_from_nothing_to_an_imported_model(
    project: Project, sandbox: Sandbox
) -> None:
    assert len(FIVE_LINES.splitlines()) == 5
    done = project.make("release")
    assert done.code == 0, done.err
    (job,) = sandbox.studio.jobs()
    assert (job.base, job.status.name) == ("qwen3-8b", "SUCCEEDED")
    assert project.imported()["exit_code"] == 0
    assert "IMPORTED" in done.out
    assert not (project.folder / "out/adapter.failed.json").exists()


def test_again_nothing_and_what_was_touched_runs(
    project: Project, sandbox: Sandbox
) -> None:
    """Whatever name it is asked for by, from whatever directory."""
    adapter = tiny_adapter(project.folder / "out/adapter")
    (adapter / "my notes.txt").write_text("words of a name that make would split")
    (adapter / "a:b#c%d$e.txt").write_text("signs that mean something to make")
    assert project.make("release").code == 0
    first = project.imported()
    whole = str(project.folder / "out/adapter.imported")
    project.write(project.folder.joinpath("Makefile").read_text(), "out/Makefile")
    for words, within in (
        (("release",), "."),
        (("out/adapter.imported",), "."),
        ((whole,), "."),
        (("adapter.imported",), "out"),
        (("../out/adapter.imported",), "out"),
    ):
        done = project.make(*words, within=within)
        assert done.code == 0, done.err
        assert "push" not in done.out
    assert project.imported() == first
    os.utime(adapter / "adapter_model.safetensors")
    assert "push" in project.make("adapter.imported", within="out").out
    assert project.imported()["started"] != first["started"]
    (adapter / "my notes.txt").unlink()  # what is gone counts, too
    assert "push" in project.make("-n", "release").out
    assert len(sandbox.studio.jobs()) == 1
    # Other weights are another model.
    build_adapter(project.folder / "new", base="qwen3-8b", tiny=True, rank=32)
    shutil.copytree(
        project.folder / "new", project.folder / "out/adapter", dirs_exist_ok=True
    )
    assert project.make("release").code == 0
    assert len({job.source.prefix for job in sandbox.studio.jobs()}) == 2


def test_what_fails_stays_undone(project: Project, sandbox: Sandbox) -> None:
    adapter = tiny_adapter(project.folder / "out/adapter")
    FAULTS["nan-last"].apply(adapter)
    done = project.make("release")
    assert done.code == 2
    assert "NOT READY" in done.out
    assert not (project.folder / "out/adapter.imported").exists()
    assert project.imported("out/adapter.failed.json")["exit_code"] == 1
    assert "push" in project.make("-n", "release").out  # it is to be done again
    assert list(sandbox.oss.objects(sandbox.bucket)) == []


def test_without_a_destination_it_says_which_variable(project: Project) -> None:
    tiny_adapter(project.folder / "out/adapter")
    project.write("include $(shell preflight mk)\n")
    done = project.make("out/adapter.imported")
    assert done.code == 2
    assert "set PREFLIGHT_DEST, such as oss://" in done.err


def test_variables_of_one_target_and_values_with_spaces(
    project: Project, sandbox: Sandbox
) -> None:
    """Side by side, in a Makefile whose recipes run in one shell without -e."""
    for name in ("it's", "two"):
        tiny_adapter(project.folder / name)
    project.write(
        f"PREFLIGHT_DEST = oss://{sandbox.bucket}/m/my {{name}}/\n"
        "include $(shell preflight mk)\n"
        f"{QUICK}.ONESHELL:\n"
        "two.imported: PREFLIGHT_BASE = qwen3-8b\n"
        """two.imported: PREFLIGHT_FLAGS += --display-name "My 'two'"\n"""
        '%.told: %.imported\n\t@echo "told of $<"\n'
        "all: it's.told two.told\n"
    )
    done = project.make("-j2", "all")
    assert done.code == 0, done.err
    jobs = {job.source.prefix: job for job in sandbox.studio.jobs()}
    assert set(jobs) == {"m/my it-s/", "m/my two/"}
    assert jobs["m/my two/"].display_name == "My 'two'"
    assert (project.folder / "two.imported").exists()  # no passing thing to make


def parts_in(box: Sandbox) -> int:
    """How many parts unfinished uploads have."""
    state = box.oss
    begun = state.uploads(box.bucket)
    return sum(len(state.parts(box.bucket, u.key, u.id)) for u in begun)


def test_a_preempted_run_goes_on(project: Project, sandbox: Sandbox) -> None:
    """SIGTERM to all of make's processes, as a scheduler sends it."""
    big = {"base": "qwen3-8b", "tiny": True, "rank": 64}
    build_adapter(project.folder / "out/adapter", **big)  # type: ignore[arg-type]
    text = project.folder.joinpath("Makefile").read_text("utf-8")
    slow = "PREFLIGHT_FLAGS += --part-size 256K --workers 1 --bandwidth-limit 1M\n"
    project.write(text + slow)
    words = ["make", "-C", str(project.folder), "release"]
    with subprocess.Popen(
        words, env=project.env, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        until(lambda: parts_in(sandbox))
        os.killpg(process.pid, signal.SIGTERM)
    assert process.returncode != 0
    assert not (project.folder / "out/adapter.imported").exists()
    project.write(text)
    assert project.make("release").code == 0
    upload = project.imported()["upload"]
    assert isinstance(upload, dict)
    assert upload["sent"] < sum(file["size"] for file in upload["files"])
    assert len(sandbox.studio.jobs()) == 1


def test_its_path_is_one_word_of_a_makefile(tmp_path: Path, project: Project) -> None:
    assert project.make("--version").code == 0
    assert run(["preflight", "mk"], project.env).out == f"{for_make(INCLUDE)}\n"
    odd = tmp_path / "a place" / "preflight.mk"
    odd.parent.mkdir()
    shutil.copy(INCLUDE, odd)
    tiny_adapter(project.folder / "out/adapter")
    project.write(f"include $(shell echo '{for_make(odd)}')\n")
    done = project.make("-n", "out/adapter.imported", "PREFLIGHT_DEST=oss://b/m/")
    assert done.code == 0, done.err
    assert "preflight push" in done.out
    assert "'out/adapter' " in done.out
