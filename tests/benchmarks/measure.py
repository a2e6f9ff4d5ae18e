"""What a process takes: run it and ask the kernel afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 900  # seconds that a process may take


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds and bytes; `upload` is what the process itself timed, its start apart.

    `cpu` is user and system time of the whole process, `peak` its largest resident
    size.
    """

    wall: float
    upload: float
    cpu: float
    peak: int


def _environment() -> Mapping[str, str]:
    # Proxies would come between client and sink.
    env = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
    return {**env, "PYTHONDONTWRITEBYTECODE": "1"}


def measured(command: Sequence[str]) -> Usage:
    """Run a command that prints {"seconds": ..., "peak": ...} last, to its end.

    Raises RuntimeError with its error output unless it ends well.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=_environment(), stdout=out, stderr=err
        )
        watchdog = threading.Timer(LIMIT, process.kill)
        watchdog.start()
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        watchdog.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            err.seek(0)
            text = err.read().decode(errors="replace")
            raise RuntimeError(f"{command}: code {process.returncode}\n{text}")
        out.seek(0)
        told = json.loads(out.read().splitlines()[-1])
    # The kernel's ru_maxrss of a child never lies below its parent's size at the fork.
    peak = int(told.get("peak") or used.ru_maxrss * 1024)
    return Usage(wall, float(told["seconds"]), used.ru_utime + used.ru_stime, peak)


@contextmanager
def running_sink(python: str, bandwidth: float, latency: float) -> Iterator[str]:
    """A sink in its own process; its endpoint."""
    command = [python, "-m", "tests.benchmarks.sink"]
    command += ["--bandwidth", str(bandwidth), "--latency", str(latency)]
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
