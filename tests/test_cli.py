"""Nothing escapes main: what nobody foresaw, streams that fail, documents always."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from preflight.sandbox import Sandbox
from tests.cases import case
from tests.running import Run, command, environment, run, run_script, tiny_adapter
from tests.streams import FULL, ended_on, nobody

# An audit hook of the interpreter raises where preflight opens a file: an exception
# that no code of preflight knows, without replacing any of it.
BREAKING = """
import sys
from preflight.cli import entry

def surprise(event, arguments):
    if event == "open" and str(arguments[0]).endswith("adapter_config.json"):
        raise LookupError("nobody thought of this; the key is sk-planted-secret-123")

sys.addaudithook(surprise)
entry()
"""


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def surprised(home: Path, *words: object) -> Run:
    env = environment(home, {"DASHSCOPE_API_KEY": "sk-planted-secret-123"})
    return run_script(BREAKING, env, *words)


def test_what_nobody_foresaw_leaves_a_log_ready_to_paste(tmp_path: Path) -> None:
    adapter, home = tiny_adapter(tmp_path / "adapter"), tmp_path / "home"
    done = surprised(home, "check", adapter)
    assert done.code == 3
    message, hint = done.told()
    assert message.startswith("preflight: preflight itself failed during inspect: ")
    assert "LookupError" in message
    (log,) = (home / ".local/state/preflight/logs").iterdir()
    assert str(log) in hint
    text = log.read_text("utf-8")
    assert "Traceback" in text
    assert f"command: preflight check {adapter}" in text
    assert "oss2 2." in text
    assert log.stat().st_mode & 0o077 == 0
    for shown in (done.out, done.err, text):
        assert "planted" not in shown


def test_what_nobody_foresaw_comes_with_a_document(tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    done = surprised(tmp_path / "home", "check", adapter, "--format", "json")
    assert (done.code, done.document["exit_code"]) == (3, 3)
    assert "LookupError" in done.document["error"]["message"]


WRONG = (
    ["check", "no-such-directory"],
    ["push", "no-such-directory"],
    ["push", "no-such-directory", "http://x"],
    ["jobs"],
    ["status"],
    ["clean", "oss://bucket/p/"],
    ["clean", "bucket"],
    ["wait", "job"],
    ["import", "oss://bucket/p/", "--base-model", "nothing"],
    ["jobs", "--limit", "x"],
    ["doctor", "oss://"],
    ["doctor", "--fix"],
)


def test_every_exit_code_comes_with_a_document(tmp_path: Path) -> None:
    for number, words in enumerate(WRONG):
        with case(*words):
            line = command(*words, "--format", "json")
            done = run(line, environment(tmp_path / f"home-{number}"))
            assert done.code == 2
            assert done.document["exit_code"] == 2
            assert done.document["schema"] == 1
            assert "Traceback" not in done.err


NO_FULL = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")


@NO_FULL
@pytest.mark.parametrize("flags", [(), ("--progress", "lines"), ("-vv",)])
def test_a_full_standard_error_does_not_end_a_push(
    box: Sandbox, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    env = environment(tmp_path / "home", box.environment())
    words = pushing(tiny_adapter(tmp_path / "adapter"), box, *flags)
    with FULL.open("w") as full:
        done = ended_on(words, env, err=full.fileno())
    assert done.code == 0
    assert done.out.splitlines()[-1].startswith("✔ IMPORTED ")


def pushing(adapter: Path, box: Sandbox, *flags: str) -> list[object]:
    url = f"oss://{box.bucket}/models/one/"
    return ["push", adapter, url, "--poll-interval", "0.02", *flags]


def test_a_closed_standard_error_does_not_end_a_push(
    box: Sandbox, tmp_path: Path
) -> None:
    words = pushing(tiny_adapter(tmp_path / "adapter"), box)
    env = environment(tmp_path / "home", box.environment())
    with nobody() as writer:  # every write is a broken pipe
        assert _python_s_end(command(*words), env, writer) == 0
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *command(*words)]
    assert _python_s_end(shell, env, None) == 0


@NO_FULL
def test_nor_does_it_where_python_itself_ends(box: Sandbox, tmp_path: Path) -> None:
    """What it still holds of standard error it writes then, or ends with 120."""
    env = environment(tmp_path / "home", box.environment())
    env.pop("PYTHONUNBUFFERED", None)
    words = command(*pushing(tiny_adapter(tmp_path / "adapter"), box))
    with FULL.open("w") as full:
        assert _python_s_end(words, env, full.fileno()) == 0


def _python_s_end(words: list[str], env: dict[str, str], err: int | None) -> int:
    """The exit code of a process that no fork made."""
    return subprocess.run(
        words, env=env, stdout=subprocess.DEVNULL, stderr=err, check=False
    ).returncode


def test_the_record_is_there_while_the_run_goes_on(
    box: Sandbox, tmp_path: Path
) -> None:
    """Written at the start, after each stage and at the end; never half."""
    adapter, home = tiny_adapter(tmp_path / "adapter"), tmp_path / "home"
    env = environment(home, box.environment())
    url = f"oss://{box.bucket}/models/one/"
    script = (
        "import sys, json, pathlib\n"
        "from preflight import record\n"
        "seen = []\n"
        "def look(event, arguments):\n"
        "    if event == 'os.rename' and '/runs/' in str(arguments[1]):\n"
        "        seen.append(json.loads(pathlib.Path(arguments[0]).read_text()))\n"
        "sys.addaudithook(look)\n"
        "from preflight.cli import main\n"
        "main()\n"
        "print('SEEN', json.dumps([(s['run']['ended'], s['seconds']) for s in seen]))\n"
    )
    words = ["push", adapter, url, "--poll-interval", "0.02"]
    done = run_script(script, env, *words)
    seen = json.loads(done.out.splitlines()[-1].removeprefix("SEEN "))
    assert seen[0] == [False, {}]
    assert seen[-1][0] is True
    stages = [set(seconds) for _, seconds in seen]
    assert all(before <= after for before, after in itertools.pairwise(stages))
    assert {"inspect", "upload", "verify", "submit"} <= stages[-1]


COLLECTING = """
import gc, sys
from preflight.__main__ import entry
from preflight.commands import load_command
load_command("explain").run = lambda *_: print(gc.isenabled()) or 0
sys.argv = ["preflight", "explain"]
entry()
"""


def test_garbage_is_collected_again_once_the_command_is_loaded(tmp_path: Path) -> None:
    done = run([sys.executable, "-c", COLLECTING], environment(tmp_path / "home"))
    assert (done.code, done.out) == (0, "True\n"), done.err
