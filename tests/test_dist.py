"""What `make dist` built: complete, and of use where nothing else is installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.running import ROOT, Run, environment, run, tiny_adapter

DIST = Path(os.environ.get("PREFLIGHT_DIST", "dist")).absolute()
# They read what the source archive may lack: each file of the project, and data.
OF_THE_SOURCE = (
    "tests/test_conventions.py",
    "tests/test_language.py",
    "tests/test_readme.py",
    "tests/catalog",
    "tests/fixtures_builder",
    "tests/loaders",
    "tests/rules",
    "tests/sandbox/studio",
)

pytestmark = [
    pytest.mark.skipif("PREFLIGHT_DIST" not in os.environ, reason="make dist"),
    pytest.mark.timeout(900),
]


def built(ending: str) -> Path:
    (found,) = DIST.glob(f"*{ending}")
    return found


def tracked() -> set[str]:
    """The project's files, as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}


def test_the_source_archive_has_every_file_of_the_project_and_no_other() -> None:
    with tarfile.open(built(".tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        files = {member.name for member in archive.getmembers() if member.isfile()}
    assert tracked() - names == set()
    made = ("PKG-INFO", "setup.cfg", "modelstudio_preflight.egg-info/")
    extra = {name.partition("/")[2] for name in files} - tracked()
    assert {name for name in extra if not name.startswith(made)} == set()


def test_the_wheel_has_the_whole_package_and_nothing_beside_it() -> None:
    with zipfile.ZipFile(built(".whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = {name for name in tracked() if name.startswith("preflight/")}
    # What translators edit; the program reads what is compiled from it.
    assert package - names <= {name for name in package if name.endswith(".po")}
    assert names - package == set()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with the wheel and what it needs, no more."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", str(built(".whl"))], check=True
    )
    return place / "bin"


@pytest.fixture
def outside(tmp_path: Path, installed: Path) -> Mapping[str, str]:
    """The environment of a user: nothing of this directory is on Python's path."""
    values = environment(tmp_path / "home")
    del values["PYTHONPATH"]
    return values | {"PATH": f"{installed}{os.pathsep}{values['PATH']}"}


def said(words: list[str], outside: Mapping[str, str], code: int = 0) -> Run:
    done = run(words, outside, within=300)
    assert (done.code, "Traceback" in done.err) == (code, False), done
    return done


def test_an_empty_environment_checks_pushes_and_explains(
    installed: Path, outside: Mapping[str, str], tmp_path: Path
) -> None:
    model = str(tiny_adapter(tmp_path / "model"))
    program = str(installed / "preflight")
    assert said([program, "--help"], outside).out.startswith("usage: preflight")
    assert "K01" in said([program, "explain", "K01"], outside).out
    assert "READY" in said([program, "check", model], outside).out
    push = [program, "push", "--sandbox", model, "--base-model", "qwen3-8b"]
    assert "IMPORTED" in said(push, outside).out
    (tmp_path / "model" / "adapter_config.json").unlink()
    assert "NOT READY" in said([program, "check", model], outside, code=1).out
    about = [str(installed / "python"), "-Ic", "import preflight; print(preflight)"]
    assert str(installed.parent) in said(about, outside).out


def test_an_empty_environment_has_the_sandbox(
    installed: Path, outside: Mapping[str, str], tmp_path: Path
) -> None:
    program = str(installed / "preflight")
    lines = said([program, "sandbox", "--background"], outside).out.splitlines()
    values = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    pid = int(values.pop("PREFLIGHT_SANDBOX_PID"))
    try:
        model = str(tiny_adapter(tmp_path / "model"))
        push = [program, "push", model, "oss://preflight-sandbox/models/mine/"]
        done = said([*push, "--base-model", "qwen3-8b"], {**outside, **values})
        assert "IMPORTED" in done.out
    finally:
        os.kill(pid, signal.SIGTERM)


def test_the_unpacked_source_passes_its_own_tests(tmp_path: Path) -> None:
    with tarfile.open(built(".tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    env = {**environment(tmp_path / "home"), "PYTHONPATH": str(source)}
    where = [sys.executable, "-c", "import preflight; print(preflight.__file__)"]
    told = subprocess.check_output(where, cwd=source, env=env, text=True)
    assert told.strip() == str(source / "preflight" / "__init__.py")
    tests = [sys.executable, "-m", "pytest", "-q", "-n", "2", *OF_THE_SOURCE]
    done = subprocess.run(tests, cwd=source, env=env, text=True, check=False)
    assert done.returncode == 0
