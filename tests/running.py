"""Run preflight as its users do: in this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import pytest

from fixtures.adapters import build_adapter
from preflight.cli import main
from preflight.sandbox import Sandbox
from tests import forked
from tests.forked import Forked

ROOT = Path(__file__).parents[1]
_OURS = (
    "OSS_", "DASHSCOPE_", "ALIBABA_CLOUD_", "PREFLIGHT_", "HF_", "XDG_", "GITHUB_",
    "PYTHON",
)  # fmt: skip
_PLAIN = (
    "COLUMNS", "LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "MODELSCOPE_CACHE",
    "NO_COLOR", "TERM",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """What a run left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output, which must be one JSON document and nothing else."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    def told(self) -> list[str]:
        """The lines of the complaint: from `preflight:` to the end of stderr."""
        lines = self.err.splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("preflight: ")]
        assert len(starts) == 1, self.err
        assert "Traceback" not in self.err
        return lines[starts[0] :]


def tiny_adapter(directory: Path, **other: Any) -> Path:  # noqa: ANN401
    """An adapter of Qwen3-8B in two layers, 1.7 MB, that passes."""
    return build_adapter(directory, base="qwen3-8b", tiny=True, **other)


def state_files(home: Path) -> list[Path]:
    """The run records below a home directory, oldest first."""
    return sorted((home / ".local/state/preflight/runs").glob("*.json"))


class InProcess:
    """Calls `main` with a home of its own and none of this machine's settings."""

    def __init__(
        self,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.home = home
        self._patch, self._capsys = monkeypatch, capsys
        for name in os.environ:
            if name.startswith(_OURS) or name in _PLAIN:
                monkeypatch.delenv(name)
        home.mkdir(exist_ok=True)
        monkeypatch.setenv("HOME", str(home))

    def use(self, box: Sandbox, **changed: str) -> InProcess:
        """Take the sandbox's settings, some of them changed."""
        for name, value in {**box.environment(), **changed}.items():
            self._patch.setenv(name, value)
        return self

    def set_keys(self) -> None:
        """Keys of nobody: enough to be asked for no more."""
        for name in ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "DASHSCOPE_API_KEY"):
            self._patch.setenv(name, f"none-{name.lower()}")
        self._patch.setenv("OSS_REGION", "ap-southeast-1")

    def __call__(self, *argv: object) -> Run:
        self._capsys.readouterr()
        try:
            code = main([str(word) for word in argv])
        except SystemExit as end:
            code = int(end.code or 0)
        captured = self._capsys.readouterr()
        return Run(code, captured.out, captured.err)


def environment(home: Path, values: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that knows nothing of this machine's settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OURS) and name not in _PLAIN
    }
    home.mkdir(exist_ok=True)
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), **(values or {})}


def command(*argv: object) -> list[str]:
    """`python -m preflight` with these words."""
    return [sys.executable, "-m", "preflight", *map(str, argv)]


def unprivileged(words: list[str]) -> list[str]:
    """The same process without root's right to read and write everything."""
    if os.geteuid() != 0:
        return words
    if shutil.which("setpriv") is None:
        pytest.skip("this is root, and there is no setpriv")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]


Process = Union["subprocess.Popen[str]", Forked]
_START = [sys.executable, "-m", "preflight"]


def forkable(words: list[str], env: Mapping[str, str]) -> bool:
    """Whether nothing depends on how Python itself is started."""
    before = ("PYTHON", "LC_", "LANG", "LD_")
    special = {
        name
        for name, value in env.items()
        # UTF-8 is what Python takes without a locale, too.
        if name.startswith(before) and not value.endswith(".UTF-8")
    }
    return forked.POSSIBLE and words[:3] == _START and special <= _HARMLESS


_HARMLESS = {"PYTHONPATH", "LANGUAGE", "LC_MESSAGES", "LD_PRELOAD"}


def run(words: list[str], env: Mapping[str, str], within: float = 90) -> Run:
    """Run a process to its end; its output as text, undecodable bytes kept."""
    if forkable(words, env):
        with forked.piped(words[3:], env) as process:
            try:
                streams = process.communicate_bytes(within)
            finally:
                process.kill()
            return Run(process.wait(), *map(os.fsdecode, streams))
    done = subprocess.run(
        words,
        env=dict(env),
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=within,
        check=False,
    )
    out, err = (os.fsdecode(stream) for stream in (done.stdout, done.stderr))
    return Run(done.returncode, out, err)


def run_script(
    script: str,
    env: Mapping[str, str],
    *words: object,
    cwd: Path | None = None,
    within: float = 90,
) -> Run:
    """Run a program that uses preflight, in a process that has it loaded already.

    Where it matters what is loaded and when, `run` starts Python itself.
    """
    argv, place = [str(word) for word in words], None if cwd is None else str(cwd)
    if not forked.POSSIBLE:
        go_there = ["env", f"--chdir={place}"] if place else []
        begin = [*go_there, sys.executable, "-W", "ignore", "-c", script]
        return run([*begin, *argv], env, within)
    with forked.piped(argv, env, cwd=place, script=script) as process:
        try:
            streams = process.communicate_bytes(within)
        finally:
            process.kill()
        return Run(process.wait(), *map(os.fsdecode, streams))


_EACH = """
import contextlib, io, json, sys
from preflight.cli import main
for words in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = main(words)
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def run_each(
    commands: Sequence[Sequence[str]],
    env: Mapping[str, str],
    *,
    before: Sequence[str] = (),
) -> list[Run]:
    """What each of these commands left, one after the other in one new process.

    For surroundings that only a new process can have; `before` makes them.
    """
    words = [*before, sys.executable, "-c", _EACH, json.dumps(list(commands))]
    done = run(words, env)
    assert done.code == 0, done.err
    runs = [Run(*json.loads(line)) for line in done.out.splitlines()]
    assert len(runs) == len(commands)
    return runs


@contextlib.contextmanager
def started(
    words: list[str], env: Mapping[str, str], script: str = ""
) -> Iterator[Process]:
    """A process that is still running; it is killed when the block is left.

    With a `script` it is a program that uses preflight, with these words.
    """
    process: Process
    if script and not forked.POSSIBLE:
        words = [sys.executable, "-W", "ignore", "-c", script, *words]
    if script and forked.POSSIBLE:
        process = forked.piped(words, env, script=script)
    elif forkable(words, env):
        process = forked.piped(words[3:], env)
    else:
        process = subprocess.Popen(
            words,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: Process, within: float = 30.0) -> Run:
    """What a process left that was told to end; fails when it does not."""
    out, err = process.communicate(timeout=within)
    return Run(process.wait(), out, err)


def until(condition: Callable[[], object], within: float = 60.0) -> None:
    """Wait until something has happened in another thread or process."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def assert_contract(document: Mapping[str, Any]) -> None:
    """The promise to programs that read the JSON report, key by key."""
    assert document["schema"] == 1
    assert document["command"] in ("check", "push", "wait")
    assert type(document["exit_code"]) is int
    assert document["verdict"] in ("pass", "warn", "fail")
    assert document["weight_type"] in ("lora", "full", None)
    assert document["base_model"] is None or isinstance(document["base_model"], str)
    for outcome in document["outcomes"]:
        texts = ("code", "name", "severity", "result", "reason", "fix")
        assert all(isinstance(outcome[key], str) for key in texts)
        assert outcome["severity"] in ("error", "warning")
        assert outcome["result"] in ("passed", "failed", "skipped", "not applicable")
        failed = outcome["result"] == "failed"
        assert bool(outcome["problems"]) == failed
        unjudged = outcome["result"] in ("skipped", "not applicable")
        assert bool(outcome["reason"]) == unjudged
        for problem in outcome["problems"]:
            assert set(problem) >= {"where", "message"}
            assert set(problem) <= {"where", "message", "severity", "fix", "details"}
    if document["exit_code"] == 0:
        assert document["verdict"] in ("pass", "warn")
        assert "error" not in document
    if upload := document.get("upload"):
        assert upload["destination"].startswith("oss://")
        for file in upload["files"]:
            assert type(file["size"]) is int
            assert file["crc64"].isdecimal()
            assert isinstance(file["key"], str)
    if job := document.get("job"):
        assert all(isinstance(job[key], str) for key in ("job_id", "status"))
        assert isinstance(job["model_name"], str)
