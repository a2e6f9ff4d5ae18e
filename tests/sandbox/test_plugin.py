"""The `sandbox` fixture in a stranger's project, by the entry point or by name."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

from tests.running import ROOT, environment

PLUGIN = "preflight.sandbox.plugin"

UPLOADS = """
import oss2

def bucket_of(sandbox):
    auth = oss2.AuthV4(sandbox.access_key_id, sandbox.access_key_secret)
    url, region = sandbox.oss_url, sandbox.region
    return oss2.Bucket(auth, url, sandbox.bucket, region=region)

def test_one(sandbox):
    bucket_of(sandbox).put_object("k", b"abc")
    assert bucket_of(sandbox).get_object("k").read() == b"abc"

def test_two(sandbox):
    assert sandbox.oss.objects(sandbox.bucket) == []
    assert not bucket_of(sandbox).object_exists("k")
"""
ENVIRONMENT = """
import os, subprocess, sys

def test_it(sandbox):
    code = "import os; print(os.environ['OSS_ENDPOINT'])"
    env = {**os.environ, **sandbox.environment()}
    told = subprocess.check_output([sys.executable, "-c", code], env=env, text=True)
    assert told.strip() == sandbox.oss_url
"""
FAULTS = """
import requests
from preflight.sandbox.faults import Action, Fault

def test_it(sandbox):
    sandbox.faults.add(Fault(
        service="studio", operation="ListImportJobs", action=Action.STATUS, status=503
    ))
    url = f"{sandbox.studio_url}/custom_models/import"
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    codes = [requests.get(url, headers=headers, timeout=9).status_code for _ in "ab"]
    assert codes == [503, 200]
    assert len(sandbox.faults.fired) == 1
"""
BROKEN = """
import requests

def test_it(sandbox):
    sandbox.oss.find_bucket = None  # so that the sandbox itself fails
    requests.get(f"{sandbox.oss_url}/{sandbox.bucket}/k", timeout=9)
"""


def is_installed() -> bool:
    """Whether pytest finds the plugin by itself."""
    return any(found.value == PLUGIN for found in entry_points(group="pytest11"))


def pytest_in(folder: Path, *flags: str, **modules: str) -> tuple[int, str]:
    """The exit code and the report of a project that has these test modules."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    for name, text in modules.items():
        (folder / f"test_{name}.py").write_text(text, "utf-8")
    named = [] if is_installed() else ["-p", PLUGIN]
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *named, *flags]
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment(folder / "home"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_project_of_somebody_else(tmp_path: Path) -> None:
    """What the sandbox itself fails on fails the test."""
    modules = {"uploads": UPLOADS, "environment": ENVIRONMENT, "faults": FAULTS}
    folder = tmp_path / "project"
    code, report = pytest_in(folder, "-v", "-rfE", **modules, broken=BROKEN)
    assert code == 1
    assert "5 passed, 1 error" in report
    for test in ("uploads.py::test_one", "uploads.py::test_two"):
        assert f"test_{test} PASSED" in report
    for name in ("environment", "faults"):
        assert f"test_{name}.py::test_it PASSED" in report
    assert "ERROR test_broken.py::test_it" in report
    assert "NoneType" in report


def test_the_fixture_is_listed_with_its_manual(tmp_path: Path) -> None:
    code, report = pytest_in(tmp_path / "project", "--fixtures", "-v")
    assert code in (0, 5)
    assert "Both services on loopback" in report


def test_the_entry_point_names_the_plugin() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    section = text.partition("[project.entry-points.pytest11]\n")[2]
    assert re.match(rf'\w+ = "{re.escape(PLUGIN)}"\n', section)
