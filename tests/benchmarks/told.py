"""What an uploader's process says of itself at its end; standard library only."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path


def peak_resident() -> int:
    """The largest resident size of this process in bytes; 0 where Linux is not.

    The kernel's ru_maxrss would do, were it not at least that of the parent process.
    """
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def time_and_tell(upload: Callable[[], object]) -> None:
    """Run `upload`, then print what it took as one line of JSON.

    `start`: CPU seconds of the process before it; `seconds` and `cpu`: those of the
    upload, without what the interpreter takes to end.
    """
    start, begin = time.process_time(), time.perf_counter()
    upload()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - start
    told = {"start": start, "seconds": seconds, "cpu": cpu, "peak": peak_resident()}
    sys.stdout.write(json.dumps(told) + "\n")
