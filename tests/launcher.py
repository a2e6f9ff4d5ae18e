"""A program `preflight` for shells and make, which asks `tests.forked` for the process.

Python without its site starts in a tenth of the time that loading preflight takes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests import forked


def launcher(program: Path, *, hurry: bool = False) -> None:
    """Write a program that is `preflight` to a shell: same streams, signals, exit code.

    With `hurry` no time passes while it waits.
    """
    if forked.POSSIBLE:
        door = str(forked.door())
        text = f"#!{sys.executable} -IS\n{_LAUNCHER.format(door=door, hurry=hurry)}"
    else:
        text = f"#!{sys.executable}\n{_QUICK if hurry else _SLOW}"
    program.write_text(text, "utf-8")
    program.chmod(0o755)


_SLOW = "from preflight.__main__ import entry\nentry()\n"
_QUICK = "from preflight.clock import compressed\nwith compressed():\n    " + (
    _SLOW.replace("\n", "\n    ").rstrip() + "\n"
)
_LAUNCHER = """\
import json, os, signal, socket, sys

ENDING = {{signal.SIGINT, signal.SIGTERM, signal.SIGHUP}}
signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
umask = os.umask(0o022)
os.umask(umask)
task = {{
    "words": sys.argv[1:],
    "env": dict(os.environ),
    "cwd": os.getcwd(),
    "umask": umask,
    "encoding": "utf-8",
    "new_session": False,
    "script": "",
    "hurry": {hurry},
}}
status, theirs = os.pipe()
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
    door.connect({door!r})
    socket.send_fds(door, [json.dumps(task).encode()], [0, 1, 2, theirs])
    pid = int(door.recv(16))
os.close(theirs)
for number in ENDING:
    signal.signal(number, lambda number, _: os.kill(pid, number))
signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
code = int(os.read(status, 16))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""
