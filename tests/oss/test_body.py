from __future__ import annotations

import os
from pathlib import Path

from preflight.crc import crc64
from preflight.model.stamp import Stamp
from preflight.model.steady import SteadyFile, open_steady
from preflight.oss.body import (
    BLOCK,
    Body,
    BytesBody,
    SliceBody,
)


def drain(body: Body, size: int) -> bytes:
    pieces = []
    while piece := body.read(size):
        pieces.append(bytes(piece))
    return b"".join(pieces)


def opened(path: Path, data: bytes) -> SteadyFile:
    path.write_bytes(data)
    return open_steady(path, path.name, Stamp.of(path.stat()))


def test_a_slice_reads_its_stretch_and_sums_it(tmp_path: Path) -> None:
    path, data = tmp_path / "f", bytes(range(256)) * 8
    with opened(path, data) as source:
        for size in (1, 7, BLOCK, -1):
            body = SliceBody(source, 100, 999)
            assert drain(body, size) == data[100:1099]
            assert (body.len, body.crc) == (999, crc64(data[100:1099]))


def test_a_slice_longer_than_a_block(tmp_path: Path) -> None:
    path, data = tmp_path / "f", os.urandom(BLOCK * 2 + 17)
    with opened(path, data) as source:
        body = SliceBody(source, 5, len(data) - 5)
        assert drain(body, BLOCK * 4) == data[5:]


def test_bytes_in_memory_are_a_body_too() -> None:
    for size in (3, -1):
        body = BytesBody(b"1234567890")
        assert drain(body, size) == b"1234567890"
        assert (body.len, body.crc) == (10, crc64(b"1234567890"))
