"""A safetensors file written in one stream: the header, then tensor after tensor."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from preflight.model.steady import BLOCK, SteadyFile, open_steady
from preflight.repair.tensors import Made, in_order
from preflight.repair.values import Losses, content

Advance = Callable[[int], None]


def header_bytes(tensors: Sequence[Made]) -> bytes:
    """Length and JSON of the header of tensors that lie in the order given.

    The metadata say `{"format": "pt"}`, as save_pretrained writes it. Padded with
    spaces to a multiple of eight bytes, as the library does it.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for one in tensors:
        span = [begin, begin + one.size]
        shape = list(one.shape)
        header[one.name] = {"dtype": one.dtype, "shape": shape, "data_offsets": span}
        begin += one.size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def size_of(tensors: tuple[Made, ...]) -> int:
    """Bytes of the file that `write_tensors` would write."""
    return len(header_bytes(in_order(tensors))) + sum(one.size for one in tensors)


def write_outline(path: Path, tensors: tuple[Made, ...]) -> None:
    """The file's header alone, with a hole in place of the data."""
    with path.open("xb") as file:
        file.write(header_bytes(in_order(tensors)))
        file.truncate(size_of(tensors))


def write_tensors(
    path: Path, tensors: tuple[Made, ...], losses: Losses, advance: Advance
) -> None:
    """Write a new file and see it on the disk; the same tensors give the same bytes.

    At most one tensor that is changed is in memory, of those that are moved one block.
    `advance` hears of bytes written. Raises `Changed`, `Unreadable`, `NotExact` and
    `OSError`.
    """
    ordered = in_order(tensors)
    with path.open("xb") as file, ExitStack() as stack:
        sources = _Sources(stack)
        file.write(header_bytes(ordered))
        for one in ordered:
            if one.is_moved:
                _move(file, one, sources, advance)
            else:
                file.write(content(one, losses))
                advance(one.size)
        sources.check_unchanged()
        file.flush()
        os.fsync(file.fileno())


class _Sources:
    """The files that are read from, each open once."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[Path, SteadyFile] = {}

    def of(self, made: Made) -> SteadyFile:
        """The file of a tensor's origin."""
        entry = made.origin.file
        found = self._open.get(entry.real_path)
        if found is None:
            opened = open_steady(entry.real_path, entry.name, entry.stamp)
            found = self._open[entry.real_path] = self._stack.enter_context(opened)
        return found

    def check_unchanged(self) -> None:
        """Raise `Changed` unless all are what they were."""
        for file in self._open.values():
            file.check_unchanged()


def _move(file: BinaryIO, made: Made, sources: _Sources, advance: Advance) -> None:
    source, at = sources.of(made), made.origin.start
    end = at + made.origin.size
    while at < end:
        data = source.read(at, min(BLOCK, end - at))
        file.write(data)
        at += len(data)
        advance(len(data))
