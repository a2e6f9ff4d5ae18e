from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from preflight.regular import read_regular


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"0123456789")
    link.symlink_to(file)
    assert read_regular(link) == b"0123456789"
    assert read_regular(file, 4) == b"0123"


def test_dev_null_is_an_empty_file() -> None:
    """Variables that name a file are often set to it, to have none read."""
    assert read_regular(Path(os.devnull)) == b""


@pytest.mark.timeout(20)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    fifo, place = tmp_path / "fifo", tmp_path / "socket"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place))
        for path in (fifo, place, Path("/dev/zero"), tmp_path):
            with pytest.raises(OSError) as caught:  # noqa: PT011 - its words follow
                read_regular(path)
            assert caught.value.strerror
            assert "Try again" not in caught.value.strerror


@pytest.mark.timeout(20)
def test_a_fifo_with_a_writer_is_refused_as_well(tmp_path: Path) -> None:
    """Settings are read more than once, and a pipe can be read once."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    try:
        os.write(writer, b"sk-something")
        with pytest.raises(OSError, match="FIFO, socket or device"):
            read_regular(fifo)
    finally:
        os.close(reader)
        os.close(writer)
