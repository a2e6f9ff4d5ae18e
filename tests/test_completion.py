"""Completion in the shells themselves: what stands there after the tab key."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.running import command, environment, run

BASH = """
source "$1"
COMP_WORDS=(preflight {words}); COMP_CWORD={number}; COMP_LINE="preflight {words}"
COMP_POINT=${{#COMP_LINE}}
handler=$(complete -p preflight | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$handler preflight "{last}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = 'source "$argv[1]"; complete -C "preflight {words}"'
ZSH = """
fpath=("$1" $fpath)
autoload -U compinit; compinit -u -d "$HOME/.zcompdump"
print -r -- "$_comps[preflight]"
autoload +X "$_comps[preflight]" && whence -w "$_comps[preflight]"
"""
TYPED = (
    ("pus", ["push"]),
    ("check --stri", ["--strict"]),
    ("push --base-m", ["--base-model"]),
    ("completion ", ["bash", "zsh", "fish"]),
)


def script(shell: str, tmp_path: Path) -> Path:
    done = run(command("completion", shell), environment(tmp_path / "home"))
    assert (done.code, done.err) == (0, "")
    path = tmp_path / f"preflight.{shell}"
    path.write_text(done.out, "utf-8")
    return path


def shown(words: list[str], tmp_path: Path) -> str:
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} here")
    done = subprocess.run(
        words,
        env=environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


def test_bash_completes(tmp_path: Path) -> None:
    path = script("bash", tmp_path)
    for words, wanted in TYPED:
        last, number = words.rpartition(" ")[2], words.count(" ") + 1
        text = BASH.format(words=words or '""', number=number, last=last)
        told = shown(["bash", "-c", text, "bash", str(path)], tmp_path)
        assert set(wanted) <= set(told.split()), words


def test_fish_completes(tmp_path: Path) -> None:
    path = script("fish", tmp_path)
    for words, wanted in TYPED:
        told = shown(["fish", "-c", FISH.format(words=words), str(path)], tmp_path)
        found = {line.split("\t")[0] for line in told.splitlines()}
        assert set(wanted) <= found, words


def test_zsh_takes_the_script(tmp_path: Path) -> None:
    """It lies in a folder that zsh looks through, under the name that zsh wants."""
    folder = tmp_path / "functions"
    folder.mkdir()
    script("zsh", tmp_path).rename(folder / "_preflight")
    told = shown(["zsh", "-f", "-c", ZSH, "zsh", str(folder)], tmp_path)
    assert told.splitlines() == ["_preflight", "_preflight: function"]
