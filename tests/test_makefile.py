"""The Makefile's targets for users: what arrives at preflight, quote by quote."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.running import ROOT

RECORDER = """#!{python}
import json, pathlib, sys
pathlib.Path(__file__).with_name("calls").open("a").write(json.dumps(sys.argv) + "\\n")
sys.exit(int(pathlib.Path(__file__).with_name("code").read_text()))
"""
ODD = [
    "out/adapter",
    "with space/and  two",
    "it's",
    'say "hi"',
    "$HOME/$$/`id`/$(touch hacked)",
    "a;b|c&d>e",
    "*?[x]",
    "back\\slash",
    "模型 é",
    "-n",
    "#comment",
    "~/model",
]


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment that counts as installed and whose preflight records its words."""
    binaries = tmp_path / "venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("preflight", "python"):
        (binaries / name).write_text(RECORDER.format(python=sys.executable))
        (binaries / name).chmod(0o755)
    (binaries / "code").write_text("0")
    later = time.time() + 86_400
    for stamp in (".runs", ".ready"):
        (tmp_path / "venv" / stamp).touch()
        os.utime(tmp_path / "venv" / stamp, (later, later))
    return tmp_path / "venv"


def make(
    *words: str, venv: Path | None = None, **values: str
) -> subprocess.CompletedProcess[str]:
    """Run make with variables from its environment and words on its command line."""
    unwanted = ("MODEL", "DEST", "BASE_MODEL", "FLAGS", "MAKEFLAGS", "MAKELEVEL")
    env = {k: v for k, v in os.environ.items() if k not in unwanted}
    return subprocess.run(
        ["make", "-C", str(ROOT), *words, *([f"VENV={venv}"] if venv else [])],
        env={**env, **values},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def calls(venv: Path) -> list[list[str]]:
    import json

    path = venv / "bin" / "calls"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line)[1:] for line in lines]


def test_what_import_would_run(venv: Path) -> None:
    words = ("MODEL=a b", "DEST=oss://b/p/", "BASE_MODEL=qwen3-8b")
    done = make("-n", "import", *words, venv=venv)
    assert done.returncode == 0, done.stderr
    assert 'preflight push "$MODEL" "$DEST"' in done.stdout
    assert calls(venv) == []


def test_import_passes_everything_on(venv: Path) -> None:
    done = make(
        "import",
        "MODEL=a b",
        "DEST=oss://b/p/",
        "BASE_MODEL=qwen3-8b",
        'FLAGS=--no-wait --display-name "My model"',
        venv=venv,
    )
    assert done.returncode == 0, done.stderr
    flags = ["--base-model", "qwen3-8b", "--no-wait", "--display-name", "My model"]
    assert calls(venv) == [["push", "a b", "oss://b/p/", *flags]]


def test_import_without_a_base(venv: Path) -> None:
    assert make("import", "MODEL=m", "DEST=oss://b/p/", venv=venv).returncode == 0
    assert calls(venv) == [["push", "m", "oss://b/p/"]]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_from_the_environment_arrive_as_one_word(
    venv: Path, name: str
) -> None:
    destination = "oss://b/it's $HOME/"
    done = make("import", venv=venv, MODEL=name, DEST=destination)
    assert done.returncode == 0, done.stderr
    assert calls(venv) == [["push", name, destination]]
    assert not (ROOT / "hacked").exists()


@pytest.mark.parametrize("name", ODD)
def test_odd_names_on_the_command_line_arrive_as_one_word(
    venv: Path, name: str
) -> None:
    """make itself reads `$` there; as everywhere in make, two of them stand for one."""
    word = f"MODEL={name.replace('$', '$$')}"
    done = make("check", word, venv=venv)
    assert done.returncode == 0, done.stderr
    assert calls(venv) == [["check", name]]


@pytest.mark.parametrize(
    ("target", "words", "missing"),
    [
        ("import", [], "MODEL"),
        ("import", ["DEST=oss://b/p/"], "MODEL"),
        ("import", ["MODEL=m"], "DEST"),
        ("import", ["MODEL=", "DEST=oss://b/p/"], "MODEL"),
        ("check", [], "MODEL"),
    ],
)
def test_what_is_missing_is_told(
    venv: Path, target: str, words: list[str], missing: str
) -> None:
    done = make(target, *words, venv=venv)
    assert done.returncode == 2
    assert f"{missing}: give {missing}=, " in done.stderr
    assert calls(venv) == []


@pytest.mark.parametrize("code", ["1", "5", "143"])
def test_a_failure_of_preflight_fails_make(venv: Path, code: str) -> None:
    (venv / "bin" / "code").write_text(code)
    done = make("import", "MODEL=m", "DEST=oss://b/p/", venv=venv)
    assert done.returncode == 2
    assert f"Error {code}" in done.stderr


def test_demo_builds_and_pushes(venv: Path, tmp_path: Path) -> None:
    done = make("demo", f"DEMO_DIR={tmp_path}/de mo", venv=venv)
    assert done.returncode == 0, done.stderr
    directory = f"{tmp_path}/de mo/qwen3-8b-lora"
    build, push = calls(venv)
    assert build[:4] == ["-m", "fixtures", "build", directory]
    assert push[:3] == ["push", "--sandbox", directory]


def test_importing_needs_no_tools_of_developers(tmp_path: Path) -> None:
    """What make would install for each, as it says without doing it."""
    fresh = tmp_path / "fresh"
    for target, words in (("import", ["MODEL=m", "DEST=oss://b/p/"]), ("demo", [])):
        done = make("-n", target, *words, venv=fresh)
        assert "--editable ." in done.stdout
        assert "[dev]" not in done.stdout
    assert "--editable '.[dev]'" in make("-n", "lint", venv=fresh).stdout


def targets() -> set[str]:
    text = (ROOT / "Makefile").read_text("utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def test_help_lists_every_target() -> None:
    for words in ([], ["help"]):
        done = make(*words)
        listed = re.findall(r"^  make ([a-z-]+)  ", done.stdout, re.MULTILINE)
        assert done.returncode == 0, done.stderr
        assert set(listed) == targets()


def test_every_target_of_the_readme_is_there() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    code = re.findall(r"`make ([a-z-]+)|^    make ([a-z-]+)", text, re.MULTILINE)
    named = {first or second for first, second in code}
    assert {"demo", "test", "import"} <= named <= targets()


def test_no_file_can_stand_in_for_a_target() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    assert set(re.findall(r"^\.PHONY: (\S+)$", text, re.MULTILINE)) == targets()
