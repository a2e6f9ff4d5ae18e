"""Commands in forks of one process that has preflight loaded: no start-up for each.

    python -m tests.screens.forks

reads tasks as lines of JSON from standard input and answers each with an exit code. A
walk over all commands in all kinds of terminals would else start Python 300 times.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from preflight.cli import entry
from tests.running import ROOT
from tests.screens.pseudo_terminal import pieces, pseudo_terminal

_SECONDS = 60  # no command of the tests takes so long


@dataclass(frozen=True, slots=True)
class Output:
    """What a command wrote to the terminal, or to both streams, and its exit code."""

    code: int
    text: str


class Forks:
    """The process that forks; made by `forking`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _ask(self, **task: Any) -> None:  # noqa: ANN401 - JSON
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()

    def _code(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def in_terminal(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        columns: int,
        lines: int = 24,
    ) -> Output:
        """A command in a terminal of this size, all that it wrote in one text."""
        with pseudo_terminal(columns, lines) as (ours, theirs):
            path = os.ttyname(theirs)
            self._ask(words=words, env=dict(env), cwd=str(cwd), out=path, err=path)
            # The end is only seen where nobody holds the other end any more, and the
            # other process may not have opened it yet: its code tells when it is over.
            data = bytearray()
            os.set_blocking(ours, False)
            code = self._code_while(ours, data)
            os.close(theirs)
            data += b"".join(pieces(ours))
        return Output(code, data.decode("utf-8", "replace"))

    def _code_while(self, ours: int, data: bytearray) -> int:
        """The code, once it is there; what is written meanwhile is read."""
        assert self._process.stdout is not None
        codes = self._process.stdout.fileno()
        while True:
            ready, _, _ = select.select([ours, codes], [], [], _SECONDS)
            assert ready, "it does not end"
            if ours not in ready:
                return self._code()
            with contextlib.suppress(BlockingIOError):
                data += os.read(ours, 65536)

    def in_pipe(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        *,
        scratch: Path,
        closed: bool = False,
    ) -> tuple[Output, Output]:
        """A command whose streams are no terminal: standard output and error.

        `closed`: nobody reads standard output any more.
        """
        out, err = scratch / "out", scratch / "err"
        where = "closed" if closed else str(out)
        self._ask(words=words, env=dict(env), cwd=str(cwd), out=where, err=str(err))
        code = self._code()
        texts = [p.read_bytes() if p.exists() else b"" for p in (out, err)]
        for path in (out, err):
            path.unlink(missing_ok=True)
        first, second = (each.decode("utf-8", "replace") for each in texts)
        return Output(code, first), Output(code, second)


@contextlib.contextmanager
def forking(env: Mapping[str, str]) -> Iterator[Forks]:
    """The process that forks, for the time of the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.screens.forks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=dict(env),
        cwd=ROOT,
        text=True,
        bufsize=1,
    ) as process:
        try:
            yield Forks(process)
        finally:
            process.kill()


def _stream(number: int, encoding: str, errors: str) -> IO[str]:
    return open(
        number, "w", encoding=encoding, errors=errors, buffering=1, closefd=False
    )


def _run(task: dict[str, Any]) -> NoReturn:
    """The command of a task, in this very process, which ends with it."""
    os.setsid()
    signal.alarm(_SECONDS)
    for number, name in ((1, task["out"]), (2, task["err"])):
        if name == "closed":
            reader, writer = os.pipe()
            os.close(reader)
        else:
            writer = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(writer, number)
        os.close(writer)
    os.environ.clear()
    os.environ.update(task["env"])
    os.chdir(task["cwd"])
    time.tzset()
    encoding = "ascii" if task["env"].get("LC_ALL") == "C" else "utf-8"
    sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123
    sys.stdout = _stream(1, encoding, "strict")
    sys.stderr = _stream(2, encoding, "backslashreplace")
    sys.argv = ["preflight", *task["words"]]
    code = 1
    try:
        entry()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    os._exit(code)


def _serve() -> None:
    """Load all that a command may need, then fork for each task."""
    from preflight.parser import whole_parser

    whole_parser()
    for name in ("numpy", "oss2", "requests", "jinja2", "safetensors", "wcwidth"):
        __import__(name)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            _run(json.loads(line))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
