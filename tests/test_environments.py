"""Whole commands where something is missing that every login shell has."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from preflight.sandbox import Sandbox
from tests.running import command, environment, run, tiny_adapter

NO_ENTRY = ["unshare", "--user", "--map-user=12345"]


def can_change_user() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NO_ENTRY, "true"], check=False).returncode == 0


@pytest.mark.parametrize("home", ["empty", "relative", "no directory", "no entry"])
def test_without_a_home_all_works_and_nothing_lands_elsewhere(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    before = NO_ENTRY if home == "no entry" else []
    if before and not can_change_user():
        pytest.skip("no user namespaces here")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    adapter = tiny_adapter(tmp_path / "adapter")
    below_a_file = adapter / "adapter_config.json/home"
    env = environment(tmp_path / "home", sandbox.environment())
    values = {"empty": "", "relative": "x", "no directory": str(below_a_file)}
    if before:
        del env["HOME"]
    else:
        env["HOME"] = values[home]
    url = f"oss://{sandbox.bucket}/models/one/"
    for words, code in (
        (("check", adapter), 0),
        (("push", adapter, url, "--poll-interval", "0.05"), 0),
        (("doctor", url), 0),
        (("status",), 2),
    ):
        done = run([*before, *command(*words)], env)
        assert done.code == code, done.err
        assert "Traceback" not in done.err
    assert "no run is on record" in done.err
    assert list(here.iterdir()) == []


def test_the_manual_is_there_without_docstrings(tmp_path: Path) -> None:
    env = environment(tmp_path / "home", {"PYTHONOPTIMIZE": "2"})
    plain = environment(tmp_path / "home")
    for words in (("explain", "C02"), ("explain",)):
        assert run(command(*words), env) == run(command(*words), plain)


THREADS = """
import atexit, sys
def tell():
    import numpy, os, threading
    ours = {thread.native_id for thread in threading.enumerate()}
    running = set(map(int, os.listdir("/proc/self/task")))
    print("others", running - ours, file=sys.stderr)
atexit.register(tell)
from preflight.__main__ import entry
entry()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_numpy_starts_no_threads_of_its_own(tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    env = environment(tmp_path / "home")
    done = run([sys.executable, "-c", THREADS, "check", str(adapter)], env)
    assert done.code == 0, done.err
    assert done.err.endswith("others set()\n")
