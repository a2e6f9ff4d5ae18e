"""What a process takes: run it and ask the kernel afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 900  # seconds that a process may take

# As the console script has it: numpy's libraries start no threads.
_NO_THREADS = {"OPENBLAS_NUM_THREADS": "1"}
_NOT_OURS = ("PYTHONDONTWRITEBYTECODE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process took.

    `seconds` its upload lasted; `cpu`: user and system seconds of that; `start`: those
    before it; `peak`: the largest resident size in bytes, 0 where it is not known.
    """

    seconds: float
    cpu: float
    start: float
    peak: int


def environment(more: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Ours without proxies, which would come between client and sink, and `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and name not in _NOT_OURS
    }
    return {**kept, **_NO_THREADS, **(more or {})}


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


def _run(
    command: Sequence[str], more: Mapping[str, str] | None
) -> tuple[float, float, bytes]:
    """Wall and CPU seconds from start to exit, and standard output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(more), stdout=out, stderr=err
        )
        cpu = _waited(process)
        seconds = time.perf_counter() - begin
        if process.returncode:
            err.seek(0)
            text = err.read().decode(errors="replace")
            raise RuntimeError(f"{command}: code {process.returncode}\n{text}")
        out.seek(0)
        return seconds, cpu, out.read()


def measured(command: Sequence[str], more: Mapping[str, str] | None = None) -> Usage:
    """Run an uploader to its end; what its upload took it tells by `time_and_tell`.

    `more` is added to the environment. Raises RuntimeError with its error output
    unless it ends well.
    """
    told = json.loads(_run(command, more)[2].splitlines()[-1])
    return Usage(told["seconds"], told["cpu"], told["start"], told["peak"])


def measured_whole(
    command: Sequence[str], more: Mapping[str, str] | None = None
) -> Usage:
    """Run any program; what it took from its start to its exit."""
    seconds, cpu, _ = _run(command, more)
    return Usage(seconds, cpu, 0, 0)
