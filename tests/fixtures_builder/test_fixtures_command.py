from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.__main__ import main
from fixtures.faults import FAULTS

ROOT = Path(__file__).parents[2]


def test_build_from_a_shell(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fixtures", "build", str(tmp_path / "a")]
    options = ["--base", "qwen3-8b", "--rank", "8", "--tiny", "--break", "nan-last"]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'a'}\n"
    weights = tmp_path / "a" / "adapter_model.safetensors"
    assert weights.read_bytes()[-4:] == b"\x00\x00\xc0\x7f"


def test_invented_bases_need_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFLIGHT_BASES")
    assert main(["build", str(tmp_path / "m"), "--base", "tiny-vl", "--full"]) == 0
    assert (tmp_path / "m" / "chat_template.jinja").exists()


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    assert "qwen2.5-vl-72b-instruct" in shown
    assert "ms-swift-4" in shown
    assert all(f"  {name} " in shown for name in FAULTS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--base", "gpt-2"], "no base model gpt-2"),
        (["--break", "nothing"], "no fault nothing"),
        (["--full", "--break", "rank-12"], "rank-12 breaks other weights than full"),
        (
            ["--full", "--base", "tiny-text", "--break", "tower-missing"],
            "needs a model with a vision tower",
        ),
    ],
)
def test_refusals(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["build", str(tmp_path / "new"), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_full_directory_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["build", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
