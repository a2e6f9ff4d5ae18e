"""Run a tool in a situation and note what it did."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures.faults import FAULTS
from tests.manners.situations import Did, Situation
from tests.running import tiny_adapter
from tests.screens.forks import in_terminal
from tests.screens.pseudo_terminal import pieces, pseudo_terminal
from tests.streams import FULL, ended_on, nobody

_SECONDS = 60
_METADATA = """Metadata-Version: 2.1
Name: good
Version: 1.0
Summary: nothing
Description-Content-Type: text/plain

Nothing.
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """A directory with good and bad inputs, and the address of a mute server."""

    place: Path
    port: int

    def environment(self, values: Mapping[str, str]) -> dict[str, str]:
        """What every tool is started with: nothing of this machine's settings."""
        home = self.place / "home"
        url = f"http://127.0.0.1:{self.port}"
        made = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "TZ": "UTC",
            "HF_ENDPOINT": url,
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "TWINE_USERNAME": "u",
            "TWINE_PASSWORD": "none-of-anybody",
            "TWINE_NON_INTERACTIVE": "1",
            "DASHSCOPE_API_KEY": "sk-none-of-anybody",
            "DASHSCOPE_HTTP_BASE_URL": f"{url}/api/v1",
            "OSS_REGION": "ap-southeast-1",
        }
        if path := os.environ.get("PYTHONPATH"):
            made["PYTHONPATH"] = path
        return {**made, **values}


@contextlib.contextmanager
def bench(place: Path) -> Iterator[Bench]:
    """Make the inputs, and listen without ever answering."""
    (place / "home/.cache/huggingface/hub").mkdir(parents=True)
    tiny_adapter(place / "good")
    FAULTS["nan-last"].apply(tiny_adapter(place / "broken"))
    (place / "good.py").write_text("x = 1\n", "utf-8")
    (place / "bad.py").write_text("import os\n", "utf-8")
    with zipfile.ZipFile(place / "good-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("good-1.0.dist-info/METADATA", _METADATA)
        wheel.writestr("good-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        wheel.writestr("good-1.0.dist-info/RECORD", "")
    (place / "bad-1.0-py3-none-any.whl").write_bytes(b"no archive")
    with socket.create_server(("127.0.0.1", 0), backlog=16) as mute:
        yield Bench(place, mute.getsockname()[1])


def ask(tool: Sequence[str], words: Sequence[str], case: Situation, at: Bench) -> Did:
    """Run `tool` with `words` as the situation has it."""
    url = f"http://127.0.0.1:{at.port}/"
    line = [*tool, *(url if word == "URL" else word for word in words)]
    env = at.environment(case.values)
    if case.way == "interrupted":
        return _interrupted(line, env, at)
    by_python = case.way in ("closed", "full") or any(map(_OF_PYTHON, case.values))
    if list(tool) == FORKED and not by_python:
        return _forked(list(line[len(tool) :]), env, case, at)
    if case.way in ("terminal", "narrow"):
        return _in_terminal(line, env, at, _width(case))
    with _standard_output(case) as out:
        done = subprocess.run(
            line,
            env=env,
            cwd=at.place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if out is None else out,
            stderr=subprocess.PIPE,
            timeout=_SECONDS,
            check=False,
        )
    return Did(done.returncode, _text(done.stdout), _text(done.stderr))


# Ours; what Python itself does at its start and end needs a Python of its own.
FORKED = [sys.executable, "-m", "preflight"]
_OF_PYTHON = re.compile("LC_|PYTHON").match


def _forked(
    words: list[str], env: Mapping[str, str], case: Situation, at: Bench
) -> Did:
    """The same of ours, in a fork of a process that has it loaded."""
    if case.way in ("terminal", "narrow"):
        shown = in_terminal(words, env, at.place, _width(case))
        return Did(shown.code, shown.text)
    done = ended_on(words, env, cwd=at.place)
    return Did(done.code, done.out, done.err)


def _width(case: Situation) -> int:
    return 60 if case.way == "narrow" else 80


@contextlib.contextmanager
def _standard_output(case: Situation) -> Iterator[int | None]:
    """What the tool writes to, if not to us: nobody, or a full disk."""
    if case.way == "closed":
        with nobody() as out:
            yield out
    elif case.way == "full":
        with FULL.open("w") as full:
            yield full.fileno()
    else:
        yield None


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _in_terminal(
    line: Sequence[str], env: Mapping[str, str], at: Bench, width: int
) -> Did:
    with pseudo_terminal(width) as (ours, theirs):
        process = subprocess.Popen(
            line, env=env, cwd=at.place, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        data = b"".join(pieces(ours))
        code = process.wait(_SECONDS)
    return Did(code, data.decode("utf-8", "replace"))


def _interrupted(line: Sequence[str], env: Mapping[str, str], at: Bench) -> Did:
    """Ctrl-C once the tool waits: its processor time stands still for a while."""
    process = subprocess.Popen(
        line,
        env=env,
        cwd=at.place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _until_it_waits(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=_SECONDS)
    finally:
        process.kill()
    return Did(process.returncode, _text(out), _text(err))


def _until_it_waits(pid: int) -> None:
    """Return when the process has used no processor for half a second."""
    used, since = -1, time.monotonic()
    deadline = since + _SECONDS
    while time.monotonic() - since < 0.5:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        now = int(fields[11]) + int(fields[12])
        if now != used or now < 2:  # hundredths; what has not begun does not wait
            used, since = now, time.monotonic() if now >= 2 else since
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)


def found(tool: str, folder: Path) -> list[str]:
    """The command of a tool in an environment's folder of programs."""
    path = shutil.which(tool, path=str(folder))
    if path is None:
        raise SystemExit(f"{folder} holds no {tool}: make test-manners installs it")
    return [path]
