"""Commands whose streams are full, or lead to nobody."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.forked import spawn
from tests.running import Run

FULL = Path("/dev/full")


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """The write end of a pipe whose reader is gone before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        yield writer
    finally:
        os.close(writer)


def ended_on(
    words: Sequence[object],
    env: Mapping[str, str],
    *,
    out: int | None = None,
    err: int | None = None,
    cwd: Path | None = None,
    encoding: str = "utf-8",
) -> Run:
    """A command on these file descriptors, to its end; what it wrote to others."""
    argv = [str(word) for word in words]
    with tempfile.TemporaryFile() as first, tempfile.TemporaryFile() as second:
        stdout = first.fileno() if out is None else out
        stderr = second.fileno() if err is None else err
        place = None if cwd is None else str(cwd)
        with spawn(
            argv, env, cwd=place, encoding=encoding, stdout=stdout, stderr=stderr
        ) as process:
            code = process.wait(60)
        first.seek(0)
        second.seek(0)
        return Run(code, first.read().decode("utf-8"), second.read().decode("utf-8"))
