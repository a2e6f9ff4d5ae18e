from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from preflight.errors import UsageError
from preflight.lock import only_run

HOLDER = """
import sys
from pathlib import Path
from preflight.lock import only_run
with only_run(Path(sys.argv[1]), "oss://b/p/"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(state: Path) -> subprocess.Popen[str]:
    """A process that holds the lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_keeps_it_and_is_named(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with (
            pytest.raises(UsageError, match=f"process {process.pid} .* oss://b/p/"),
            only_run(tmp_path, "oss://b/p/"),
        ):
            pass
        with only_run(tmp_path, "oss://b/other/"):  # another destination is free
            pass
        process.kill()


def test_it_dies_with_its_process(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
    with only_run(tmp_path, "oss://b/p/"):
        pass


def test_it_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_run(tmp_path, "oss://b/p/"):
        raise KeyError
    with only_run(tmp_path, "oss://b/p/"):
        pass


def test_two_in_one_process(tmp_path: Path) -> None:
    with (
        only_run(tmp_path, "oss://b/p/"),
        pytest.raises(UsageError),
        only_run(tmp_path, "oss://b/p/"),
    ):
        pass


FULL_DISK = """
import resource, sys
from pathlib import Path
from preflight.lock import only_run
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # no file may grow any more
with only_run(Path(sys.argv[1]), "oss://b/p/"):
    print("held")
"""


def test_a_full_disk_is_no_obstacle(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        check=False,
    )
    assert (done.stdout, done.stderr) == ("held\n", "")


def test_what_fails_without_a_lock_is_told_alone(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file", "utf-8")
    with pytest.raises(KeyError) as caught, only_run(tmp_path / "state", "oss://b/p/"):
        raise KeyError
    assert caught.value.__context__ is None


def test_a_place_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file", "utf-8")
    with only_run(tmp_path / "state", "oss://b/p/"):
        pass
    assert "cannot be kept apart" in caplog.text
