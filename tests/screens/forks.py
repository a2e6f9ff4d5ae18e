"""Commands in terminals and pipes, for a walk over all of both.

Each is a fork (`tests.forked`): the walk would else start Python 300 times.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.forked import Forked, spawn
from tests.screens.pseudo_terminal import pieces, pseudo_terminal

_SECONDS = 60  # no command of the tests takes so long


@dataclass(frozen=True, slots=True)
class Output:
    """What a command wrote to the terminal, or to both streams, and its exit code."""

    code: int
    text: str


def in_terminal(
    words: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    columns: int,
    lines: int = 24,
) -> Output:
    """A command in a terminal of this size, all that it wrote in one text."""
    with pseudo_terminal(columns, lines) as (ours, theirs):
        process = _begin(words, env, cwd, theirs, theirs)
        os.close(theirs)
        data = b"".join(pieces(ours))
        code = process.wait(_SECONDS)
    return Output(code, data.decode("utf-8", "replace"))


def in_pipe(
    words: Sequence[str],
    env: Mapping[str, str],
    cwd: Path,
    *,
    closed: bool = False,
) -> tuple[Output, Output]:
    """A command whose streams are pipes: standard output and error.

    `closed`: nobody reads standard output any more.
    """
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    if closed:
        os.close(out)
    process = _begin(words, env, cwd, out_end, err_end)
    os.close(out_end)
    os.close(err_end)
    read = {err: bytearray()} if closed else {out: bytearray(), err: bytearray()}
    texts = [data.decode("utf-8", "replace") for data in _read(read)]
    code = process.wait(_SECONDS)
    first = "" if closed else texts[0]
    return Output(code, first), Output(code, texts[-1])


def _read(streams: Mapping[int, bytearray]) -> list[bytes]:
    """What comes from each until its end; they are closed."""
    open_ends = set(streams)
    while open_ends:
        ready, _, _ = select.select(list(open_ends), [], [], _SECONDS)
        assert ready, "it does not end"
        for fd in ready:
            if piece := os.read(fd, 65536):
                streams[fd].extend(piece)
            else:
                open_ends.discard(fd)
                os.close(fd)
    return [bytes(data) for data in streams.values()]


def _begin(
    words: Sequence[str], env: Mapping[str, str], cwd: Path, out: int, err: int
) -> Forked:
    encoding = "ascii" if env.get("LC_ALL") == "C" else "utf-8"
    return spawn(
        words,
        env,
        cwd=str(cwd),
        stdout=out,
        stderr=err,
        encoding=encoding,
        new_session=True,
    )
