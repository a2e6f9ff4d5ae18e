"""Whole commands where something is missing that every login shell has."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from preflight.sandbox import Sandbox
from tests.running import (
    Run,
    command,
    environment,
    run,
    run_each,
    state_files,
    tiny_adapter,
)
from tests.shim import built

NO_ENTRY = ["unshare", "--user", "--map-user=12345"]


def can_change_user() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NO_ENTRY, "true"], check=False).returncode == 0


def assert_all(
    env: Mapping[str, str],
    *expected: tuple[Any, ...],
    before: Sequence[str] = (),
) -> Run:
    """Each command ends with its code, and says what it is to say; the last one's run.

    Where `before` has to stand in front of Python, one start serves them all.
    """
    commands = [list(map(str, words)) for words, *_ in expected]
    if before:
        runs = run_each(commands, env, before=before)
    else:
        runs = [run(command(*words), env) for words in commands]
    for (words, code, *told), done in zip(expected, runs, strict=True):
        assert done.code == code, (words, done.err)
        assert "Traceback" not in done.err
        assert all(text in done.err for text in told), (words, done.err)
    return runs[-1]


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
    assert_all(
        env,
        (("check", adapter), 0),
        (("push", adapter, url, "--poll-interval", "0.05"), 0),
        (("doctor", url), 0),
        (("status",), 2, "no run is on record"),
        before=before,
    )
    assert list(here.iterdir()) == []


def test_the_manual_is_there_without_docstrings(tmp_path: Path) -> None:
    env = environment(tmp_path / "home", {"PYTHONOPTIMIZE": "2"})
    plain = environment(tmp_path / "home")
    pages = (["explain", "C02"], ["explain"])
    found = run_each(pages, env)
    assert found == [run(command(*words), plain) for words in pages]


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


class Place:
    """A sandbox and an adapter, pushed to it from surroundings that lack something."""

    def __init__(self, sandbox: Sandbox, tmp_path: Path) -> None:
        self.box, self.home = sandbox, tmp_path / "home"
        self.adapter = tiny_adapter(tmp_path / "adapter")
        self.url = f"oss://{sandbox.bucket}/models/one/"

    def push(
        self,
        *flags: str,
        before: tuple[str, ...] = (),
        values: Mapping[str, str] | None = None,
    ) -> Run:
        env = environment(self.home, {**self.box.environment(), **(values or {})})
        flags = ("--part-size", "100K", "--poll-interval", "0.05", *flags)
        words = command("push", self.adapter, self.url, *flags)
        done = run([*before, *words], env)
        assert "Traceback" not in done.err
        assert "preflight itself failed" not in done.err
        return done

    def sent_again(self) -> int:
        """Bytes that another run, where all is well, still has to send."""
        done = self.push("--format", "json")
        assert done.code == 0, done.err
        sent: int = done.document["upload"]["sent"]
        return sent


@pytest.fixture
def place(sandbox: Sandbox, tmp_path: Path) -> Place:
    return Place(sandbox, tmp_path)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("shim"))


def mount(shim: Path, below: Path, **values: object) -> dict[str, str]:
    """The variables with which `below` is a mount that misbehaves."""
    told = {f"SHIM_{name.upper()}": str(value) for name, value in values.items()}
    return {"LD_PRELOAD": str(shim), "SHIM_BELOW": str(below), **told}


HICCUPS = [
    ("open", errno.ESTALE),
    ("stat", errno.ESTALE),
    ("read", errno.ESTALE),
    ("open", errno.EINTR),
    ("stat", errno.EAGAIN),
]


@pytest.mark.parametrize(("call", "number"), HICCUPS)
def test_a_hiccup_of_a_mount_is_outlasted(
    place: Place, shim: Path, call: str, number: int
) -> None:
    """ESTALE after a failover of NFS, EINTR of a mount with `intr`, wherever it is."""
    values = {"call": call, "errno": number, "name": ".safetensors"}
    broken = mount(shim, place.adapter, times=2, places=5, **values)
    done = place.push("--no-wait", values=broken)
    assert done.code == 0, done.err


def test_a_hiccup_of_the_mount_s_own_directory_is_outlasted(
    place: Place, shim: Path
) -> None:
    words = command("check", place.adapter)
    env = environment(place.home)
    values = {"errno": errno.ESTALE, "times": 2, "places": 4}
    for call in ("stat", "open"):
        done = run(words, env | mount(shim, place.adapter, call=call, **values))
        assert done.code == 0, (call, done.out, done.err)


def test_a_disk_that_lost_bytes_leaves_the_parts(place: Place, shim: Path) -> None:
    values = {"call": "read", "errno": errno.EIO, "name": ".safetensors"}
    broken = mount(shim, place.adapter, skip=12, times=1, **values)
    done = place.push("--workers", "1", values=broken)
    assert done.code == 5, done.err
    assert "cannot be read: input/output error" in done.told()[0]
    size = (place.adapter / "adapter_model.safetensors").stat().st_size
    assert 0 < place.sent_again() < size


def test_a_mount_that_renumbers_its_files_changes_nothing(
    place: Place, shim: Path
) -> None:
    done = place.push(values=mount(shim, place.adapter, inodes=1))
    assert done.code == 0, done.err


def test_a_mount_that_rounds_its_times_changes_nothing(
    place: Place, shim: Path
) -> None:
    for looks in (0, 2, 5, 9):
        broken = mount(shim, place.adapter, truncate=looks)
        done = place.push("--again", "--no-wait", values=broken)
        assert done.code == 0, (looks, done.err)


def test_where_there_are_no_locks_a_run_goes_on(place: Place, shim: Path) -> None:
    """Lustre without `flock`, CIFS, a lock server that is gone."""
    for number in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO):
        values = {"LD_PRELOAD": str(shim), "SHIM_FLOCK": str(number)}
        done = place.push("--no-wait", values=values)
        assert done.code == 0, done.err
        assert "runs cannot be kept apart" in done.err


def test_little_address_space_is_told_and_not_called_a_failed_rule(
    place: Place,
) -> None:
    """With somewhat more, below, all goes well."""
    done = place.push(before=("sh", "-c", 'ulimit -v 300000; exec "$@"', "sh"))
    assert done.code == 2
    assert "292 MiB of address space" in done.told()[0]


@pytest.mark.parametrize("call", ["open", "write"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_costs_the_record_alone(
    place: Place, shim: Path, call: str, number: int
) -> None:
    state = place.home / ".local/state/preflight/runs"
    broken = mount(shim, state, call=call, errno=number, times=10**6)
    done = place.push(values=broken)
    assert done.code == 0, done.err
    assert "the run record could not be kept" in done.err
    assert state_files(place.home) == []


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_limit_on_threads_slows_and_stops_nothing(
    place: Place, shim: Path, threads: int
) -> None:
    values = {"LD_PRELOAD": str(shim), "SHIM_THREADS": str(threads)}
    for flags in ((), ("--again", "--progress", "bar", "--workers", "8")):
        done = place.push(*flags, values=values)
        assert done.code == 0, done.err
        assert "interrupted" not in done.err


LIMITS = {
    "12 descriptors": "ulimit -n 12",
    "no file may grow": "ulimit -f 0",
    "nobody reads standard error": "exec 2>&-",
    "standard error is on a full disk": "exec 2>/dev/full",
    "standard input is closed": "exec <&-",
    "nothing but root's directory": "cd /",
    "docstrings are gone": "export PYTHONOPTIMIZE=2",
    "no letters but ASCII": "export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
    "an umask that takes all": "umask 777",
    "700 MB of address space": "ulimit -v 700000",
}
# Several in one start, where none hides what another does.
TOGETHER = (
    (
        "12 descriptors",
        "nothing but root's directory",
        "docstrings are gone",
        "standard error is on a full disk",
    ),
    ("no file may grow", "no letters but ASCII", "standard input is closed"),
    (
        "nobody reads standard error",
        "an umask that takes all",
        "700 MB of address space",
    ),
)


def test_every_limit_is_tried() -> None:
    assert sorted(itertools.chain(*TOGETHER)) == sorted(LIMITS)


@pytest.mark.parametrize("limits", TOGETHER, ids=", ".join)
def test_a_push_in_narrow_surroundings(place: Place, limits: tuple[str, ...]) -> None:
    set_up = "; ".join(LIMITS[limit] for limit in limits)
    before = ("sh", "-c", f'{set_up}; exec "$@"', "sh")
    done = place.push("--format", "json", "-vv", before=before)
    assert done.code == 0, done.err
    assert json.loads(done.out)["upload"]["verified"] is True


READ_ONLY = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
FREEZE = (
    "for mount in / /tmp /dev/shm; do mount -o remount,bind,ro $mount; done "
    '2>/dev/null; exec "$@"'
)


def can_freeze(here: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    tries = 'for at in /tmp / "$0"; do ! touch "$at/frozen" || exit 1; done'
    probe = [*READ_ONLY, FREEZE, "sh", "sh", "-c", tries, str(here)]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def test_all_works_where_nothing_can_be_written(place: Place) -> None:
    """A container with a read-only root and no volume for temporary files."""
    if not can_freeze(place.home.parent):
        pytest.skip("no mount namespaces here")
    before = (*READ_ONLY, FREEZE, "sh")
    done = place.push(before=before)
    assert done.code == 0, done.err
    assert "the run record could not be kept" in done.err
    env = environment(place.home, place.box.environment())
    output = place.home / "report.json"
    done = assert_all(
        env,
        (("check", place.adapter), 0),
        (("doctor", place.url), 0),
        (("jobs",), 0),
        (("bases",), 0),
        (("status",), 2),
        (("check", place.adapter, "--output", output), 2, "Read-only file system"),
        before=before,
    )
    assert "READY" in done.out  # better there than lost


def test_a_report_on_a_full_disk_goes_to_the_screen(place: Place) -> None:
    words = command("check", place.adapter, "--output", "/dev/full")
    done = run(words, environment(place.home))
    assert done.code == 2
    assert "No space left on device" in done.err
    assert "READY" in done.out
