"""What a process takes: run it and ask the kernel afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 900  # seconds that a process may take


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took.

    `seconds` its upload lasted; `cpu`: user and system seconds of the whole process;
    `start`: those before the upload began; `peak`: the largest resident size in bytes.
    """

    seconds: float
    cpu: float
    start: float
    peak: int


def _environment() -> Mapping[str, str]:
    """Ours without proxies, which would come between client and sink."""
    names = [name for name in os.environ if not name.lower().endswith("_proxy")]
    return {name: os.environ[name] for name in names}


def _waited(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end of a process; its user and system seconds."""
    watchdog = threading.Timer(LIMIT, process.kill)
    watchdog.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        watchdog.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def measured(command: Sequence[str]) -> Usage:
    """Run an uploader to its end; it tells the rest by `time_and_tell`.

    Raises RuntimeError with its error output unless it ends well.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(), stdout=out, stderr=err
        )
        cpu = _waited(process)
        if process.returncode:
            err.seek(0)
            text = err.read().decode(errors="replace")
            raise RuntimeError(f"{command}: code {process.returncode}\n{text}")
        out.seek(0)
        told = json.loads(out.read().splitlines()[-1])
    return Usage(told["seconds"], cpu, told["start"], told["peak"])


@contextmanager
def running_sink(
    python: str, bandwidth: float, latency: float, more: Sequence[str] = ()
) -> Iterator[str]:
    """A sink in its own process, with `more` flags; its endpoint."""
    command = [python, "-m", "tests.benchmarks.sink"]
    command += ["--bandwidth", str(bandwidth), "--latency", str(latency), *more]
    process = subprocess.Popen(
        [*command, "--seconds", "3600"],
        cwd=ROOT,
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()  # its sign to end
        process.wait(10)
        process.stdout.close()
