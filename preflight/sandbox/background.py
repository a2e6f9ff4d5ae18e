"""A server that is left running, as ssh-agent is: it tells how to reach it, and stays.

The caller forks before any thread was started; the child serves, and says once what
the parent is to print. Whoever reads the parent's output never sees half of it, and
the parent ends only when the child is ready, or has failed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Child:
    """What became of the child: all it told, or the exit code that it ended with."""

    told: str
    exit_code: int


class Ready:
    """The child's side: how to tell the parent, once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def tell(self, text: str) -> None:
        """Send `text`, and let go of the streams that belong to the parent's caller.

        A shell that reads `$(...)` goes on only when nobody holds its pipe any more.
        """
        with os.fdopen(self._descriptor, "w", encoding="utf-8") as pipe:
            pipe.write(text)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.close(null)


def fork() -> Child | Ready:
    """`Ready` in the child, which is to serve; in the parent `Child`, once it told.

    The child has a session of its own: a Ctrl-C or a terminal that closes, both meant
    for the command that started it, do not reach it. Only to be called while there is
    one thread.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.setsid()
        return Ready(writer)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        told = pipe.read()
    if told:
        return Child(told, 0)
    _, status = os.waitpid(pid, 0)  # it has complained itself
    code = os.waitstatus_to_exitcode(status)
    return Child("", code if code > 0 else 1)
