"""A process as a mark that can be kept: does it still run, on this machine?"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """`born` tells this process from a later one with the same number.

    It is the boot of the machine and the clock tick at which the process began; empty
    where the system does not tell.
    """

    pid: int
    host: str
    born: str = ""


def this_process() -> ProcessMark:
    """The mark of the process that asks."""
    return ProcessMark(os.getpid(), socket.gethostname(), _born(os.getpid()))


def is_running(mark: ProcessMark) -> bool | None:
    """Whether it runs now; None for one on another machine, which nobody can ask."""
    if mark.host != socket.gethostname():
        return None
    try:
        os.kill(mark.pid, 0)
    except PermissionError:  # another user's: it runs
        pass
    except (OSError, OverflowError, ValueError):
        return False
    return not mark.born or _born(mark.pid) == mark.born


def _born(pid: int) -> str:
    """proc(5): the 22nd field of `stat`, counted behind the name in brackets."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        return f"{boot}/{fields.rpartition(')')[2].split()[19]}"
    except (OSError, IndexError, ValueError):
        return ""
