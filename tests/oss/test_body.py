from __future__ import annotations

import os
from pathlib import Path

import pytest

from preflight.crc import crc64
from preflight.errors import SourceChanged
from preflight.oss.body import (
    BLOCK,
    Body,
    BytesBody,
    SliceBody,
    Stamp,
    open_source,
)


def drain(body: Body, size: int) -> bytes:
    pieces = []
    while piece := body.read(size):
        pieces.append(bytes(piece))
    return b"".join(pieces)


def stamped(path: Path, data: bytes) -> Stamp:
    path.write_bytes(data)
    return Stamp.of(path.stat())


@pytest.mark.parametrize("size", [1, 7, BLOCK, -1])
def test_a_slice_reads_its_stretch_and_sums_it(tmp_path: Path, size: int) -> None:
    path, data = tmp_path / "f", bytes(range(256)) * 8
    with open_source(path, stamped(path, data)) as source:
        body = SliceBody(source, 100, 999)
        assert drain(body, size) == data[100:1099]
        assert (body.len, body.crc) == (999, crc64(data[100:1099]))


def test_a_slice_longer_than_a_block(tmp_path: Path) -> None:
    path, data = tmp_path / "f", os.urandom(BLOCK * 2 + 17)
    with open_source(path, stamped(path, data)) as source:
        body = SliceBody(source, 5, len(data) - 5)
        assert drain(body, BLOCK * 4) == data[5:]
        assert source.crc() == crc64(data)
        assert source.read_all() == data


@pytest.mark.parametrize("size", [3, -1])
def test_bytes_in_memory_are_a_body_too(size: int) -> None:
    body = BytesBody(b"1234567890")
    assert drain(body, size) == b"1234567890"
    assert (body.len, body.crc) == (10, crc64(b"1234567890"))


def test_a_file_that_shrinks_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with open_source(path, stamped(path, b"x" * 100)) as source:
        os.truncate(path, 10)
        with pytest.raises(SourceChanged, match="shorter"):
            source.read_all()
        with pytest.raises(SourceChanged, match="shorter"):
            drain(SliceBody(source, 0, 100), 50)


def test_a_file_that_changed_before_or_while_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    stamp = stamped(path, b"x" * 100)
    with open_source(path, stamp) as source:
        source.check_unchanged()
        os.utime(path, ns=(1, 1))
        with pytest.raises(SourceChanged, match="while it was read"):
            source.check_unchanged()
    with (
        pytest.raises(SourceChanged, match="since the directory was checked"),
        open_source(path, stamp),
    ):
        pass


def test_a_file_replaced_by_another_of_the_same_look(tmp_path: Path) -> None:
    path, other = tmp_path / "f", tmp_path / "g"
    stamp = stamped(path, b"x" * 100)
    other.write_bytes(b"y" * 100)
    os.utime(other, ns=(stamp.mtime_ns, stamp.mtime_ns))
    with open_source(path, stamp) as source:
        other.replace(path)
        with pytest.raises(SourceChanged, match="while it was read"):
            source.check_unchanged()


def test_a_file_that_is_gone_or_is_none(tmp_path: Path) -> None:
    path = tmp_path / "f"
    stamp = stamped(path, b"x")
    with open_source(path, stamp) as source:
        path.unlink()
        with pytest.raises(SourceChanged, match="vanished"):
            source.check_unchanged()
    with (
        pytest.raises(SourceChanged, match="cannot be opened"),
        open_source(path, stamp),
    ):
        pass
    os.mkfifo(path)  # must not hang
    with pytest.raises(SourceChanged), open_source(path, stamp):
        pass
