"""A FIFO in a file's place hangs nothing: before a run, and in the middle of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.full import build_full
from tests.running import InProcess, environment, run_script, tiny_adapter

pytestmark = pytest.mark.timeout(120)

NO_SCAN = "--no-scan"
KEYS = {
    "OSS_ACCESS_KEY_ID": "none-id-0000",
    "OSS_ACCESS_KEY_SECRET": "none-secret-0000",
    "OSS_REGION": "ap-southeast-1",
    "DASHSCOPE_API_KEY": "none-key-0000",
}


def swap(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    made = InProcess(tmp_path / "home", monkeypatch, capsys)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An adapter, and a directory of its base."""
    made = tmp_path_factory.mktemp("models")
    adapter = tiny_adapter(made / "adapter")
    return adapter, build_full(made / "base", base="qwen3-8b")


def linked(model: Path, place: Path) -> Path:
    """A copy that costs nothing."""
    return shutil.copytree(model, place, copy_function=os.link)


def test_a_fifo_among_the_model_s_files_and_the_base_s(
    preflight: InProcess, models: tuple[Path, Path], tmp_path: Path
) -> None:
    for which, whole in enumerate(models):
        for file in sorted(path.name for path in whole.iterdir()):
            copies = [tmp_path / f"{which}{file}{n}" for n in (0, 1)]
            for copy, source in zip(copies, models, strict=True):
                linked(source, copy)
            swap(copies[which] / file)
            done = preflight("check", copies[0], "--base-dir", copies[1], NO_SCAN)
            assert done.code in (0, 1, 2), (file, done.err)
            done = preflight("check", copies[which], NO_SCAN)
            assert done.code in (0, 1, 2), (file, done.err)


def key_file(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    patch.delenv("DASHSCOPE_API_KEY")
    patch.setenv("DASHSCOPE_API_KEY_FILE_PATH", str(home / "key"))
    return home / "key", ("jobs",)


def key_at_home(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    patch.delenv("DASHSCOPE_API_KEY")
    return home / ".dashscope/api_key", ("jobs",)


def ossutil(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    patch.delenv("OSS_ACCESS_KEY_ID")
    patch.delenv("OSS_ACCESS_KEY_SECRET")
    return home / ".ossutilconfig", ("clean", "oss://bucket/m/")


def aliyun(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    patch.delenv("OSS_ACCESS_KEY_ID")
    patch.delenv("OSS_ACCESS_KEY_SECRET")
    return home / ".aliyun/config.json", ("clean", "oss://bucket/m/")


def own_bases(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    del patch
    return home / ".config/preflight/bases/mine.json", ("bases",)


def named_bases(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    patch.setenv("PREFLIGHT_BASES", str(home / "bases"))
    (home / "bases").mkdir()
    (home / "bases/a.json").write_text('{"family": "f", "models": []}')
    return home / "bases/b.json", ("bases",)


def certificates(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    patch.setenv("REQUESTS_CA_BUNDLE", str(home / "ca.pem"))
    return home / "ca.pem", ("jobs",)


def key_log(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    patch.setenv("SSLKEYLOGFILE", str(home / "keys.log"))
    return home / "keys.log", ("jobs",)


def record(home: Path, patch: pytest.MonkeyPatch) -> tuple[Path, tuple[str, ...]]:
    del patch
    return home / ".local/state/preflight/runs/1-push-x.json", ("status",)


Place = Callable[[Path, pytest.MonkeyPatch], tuple[Path, tuple[str, ...]]]
PLACES: list[Place] = [
    key_file, key_at_home, ossutil, aliyun, own_bases, named_bases, certificates,
    key_log, record,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_fifo_in_place_of_a_setting_is_named(
    preflight: InProcess, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    path, words = place(preflight.home, monkeypatch)
    swap(path)
    done = preflight(*words)
    assert done.code == 2, done.err
    assert str(path) in done.err


# A check for each instant at which a file is opened; what became of each, as JSON.
SWAPPING = """
import json, os, sys
name, *copies = sys.argv[1:]
left, swapped, found = 0, False, []

def swap(event, arguments):
    global left, swapped
    if event != "open" or not isinstance(arguments[0], (str, os.PathLike)):
        return
    path = os.fspath(arguments[0])
    if not path.endswith(name) or not os.path.isfile(path):
        return
    left -= 1
    if left == 0:
        os.unlink(path)
        os.mkfifo(path)
        swapped = True

sys.addaudithook(swap)
from preflight.cli import main
for turn, copy in enumerate(copies, 1):
    left, swapped = turn, False
    code = main(["check", copy])
    found.append((swapped, code))
    if not swapped:
        break
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_fifo_that_takes_a_file_s_place_between_listing_and_opening(
    models: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    copies = [linked(models[0], tmp_path / f"{turn}") for turn in range(8)]
    done = run_script(SWAPPING, environment(tmp_path / "home"), name, *copies)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    *swapped, (last, code) = json.loads(done.out.splitlines()[-1])
    assert swapped
    assert all(was and code in (1, 5) for was, code in swapped), swapped
    assert (last, code) == (False, 0), "it is opened again and again"
