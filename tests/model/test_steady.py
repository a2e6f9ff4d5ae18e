"""What counts as a changed file, and what is only trouble with the disk."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from preflight.crc import crc64
from preflight.errors import SourceChanged, TransferError
from preflight.findings import Unavailable
from preflight.model.files import walk
from preflight.model.source import LocalDirectory
from preflight.model.stamp import Stamp
from preflight.model.steady import (
    INSPECTING,
    Access,
    Calls,
    Changed,
    SteadyFile,
    Unreadable,
    check_steady,
    open_regular,
    open_steady,
)
from tests.model.mount import Mount

DATA = bytes(range(256)) * 40


class Waits:
    """A clock that takes note of pauses and takes no time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(DATA)
    return path


def opened(path: Path, access: Access | None = None) -> SteadyFile:
    return open_steady(path, path.name, Stamp.of(path.stat()), access)


def test_a_time_that_lost_its_fraction_is_the_same_time() -> None:
    """CIFS, FAT and some FUSE mounts keep whole seconds once they forgot a file."""
    second = 1_764_000_000 * 10**9
    for one, other, same in (
        (second + 700, second, True),
        (second, second + 999_999_999, True),
        (second + 700, second + 800, False),
        (second, second + 10**9, False),
        (second + 10**9, second + 10**9 - 1, False),
        (-1, -(10**9), True),
    ):
        assert Stamp(5, one).fits(Stamp(5, other)) is same
        assert not Stamp(5, one).fits(Stamp(6, other))


def test_what_is_read_is_what_is_there(path: Path) -> None:
    with opened(path) as file:
        assert file.size == len(DATA)
        assert file.read(3, 1000) == DATA[3:1003]
        assert b"".join(bytes(block.data) for block in file.blocks(777)) == DATA
        assert file.crc() == crc64(DATA)
        file.check_unchanged()
        check_steady(path, path.name, file.stamp)


def rewritten(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def longer(path: Path) -> None:
    with path.open("ab") as target:
        target.write(b"x")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(DATA)
    other.replace(path)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)  # must not hang


def link(path: Path) -> None:
    moved = path.rename(path.with_name("elsewhere"))
    path.symlink_to(moved)


CHANGES: list[tuple[Callable[[Path], object], str]] = [
    (rewritten, "changed"),
    (longer, "changed"),
    (replaced, "changed"),
    (fifo, "changed"),
    (Path.unlink, "is gone"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_changed_is_another_size_or_time_or_gone(
    path: Path, change: Callable[[Path], object], words: str
) -> None:
    stamp = Stamp.of(path.stat())
    with opened(path) as file:
        change(path)
        for ask in (
            file.check_unchanged,
            lambda: list(file.blocks()),
            lambda: check_steady(path, path.name, stamp),
            lambda: open_steady(path, path.name, stamp),
        ):
            with pytest.raises(SourceChanged, match=words) as caught:
                ask()
            assert "finish" in caught.value.hint


def test_a_link_put_in_its_place_is_not_followed(path: Path) -> None:
    stamp = Stamp.of(path.stat())
    link(path)
    with pytest.raises(Changed):
        open_steady(path, path.name, stamp)


def test_a_file_that_shrinks_is_told_at_once(path: Path) -> None:
    with opened(path) as file:
        os.truncate(path, 100)
        with pytest.raises(Changed, match="after 100 of 10,240 bytes"):
            file.read(0, len(DATA))
        with pytest.raises(Changed):
            list(file.blocks(64))


def test_a_mount_that_renumbers_inodes_changes_nothing(path: Path) -> None:
    with opened(path, Access(calls=Mount())) as file:
        assert file.crc() == crc64(DATA)
        file.check_unchanged()
    other = path.with_name("copy")
    other.write_bytes(DATA)
    found = path.stat()
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    with opened(path) as file:
        other.replace(path)  # all that is known of it is the same
        file.check_unchanged()


CALLS = ("open", "stat", "fstat", "read")
NUMBERS = (errno.ESTALE, errno.EIO, errno.EACCES)
PASSING = [
    (call, number)
    for call in CALLS
    for number in NUMBERS
    if (call, number) != ("read", errno.EIO)
]


@pytest.mark.parametrize(("call", "number"), PASSING)
def test_trouble_that_passes_is_waited_out(path: Path, call: str, number: int) -> None:
    mount, waits = Mount(), Waits()
    access = Access(clock=waits, calls=mount)

    def go_on() -> None:
        mount.call, mount.number, mount.times = call, number, 5

    go_on()
    with opened(path, access) as file:
        go_on()
        assert file.crc() == crc64(DATA)
        go_on()
        file.check_unchanged()
        go_on()
        check_steady(path, path.name, file.stamp, access)
    assert 0 < waits.seconds < 120


@pytest.mark.parametrize(("call", "number"), PASSING)
def test_trouble_that_stays_is_no_changed_file(
    path: Path, call: str, number: int
) -> None:
    mount, waits = Mount(), Waits()
    access = Access(seconds=3, clock=waits, calls=mount)

    def use() -> None:
        with opened(path, access) as file:
            mount.call, mount.number, mount.times = call, number, 10**9
            file.crc()
            check_steady(path, path.name, file.stamp, access)
            opened(path, access)

    with pytest.raises(TransferError) as caught:
        use()
    assert not isinstance(caught.value, SourceChanged)
    assert isinstance(caught.value, Unreadable)
    assert caught.value.without_name.startswith("cannot be read: ")
    assert "run the same command again" in caught.value.hint
    assert 3 <= waits.seconds < 5


def test_bytes_that_a_disk_lost_are_not_read_a_second_time(path: Path) -> None:
    mount, waits = Mount("read", 1, errno.EIO), Waits()
    with opened(path, Access(clock=waits, calls=mount)) as file:
        with pytest.raises(Unreadable, match="input/output error") as caught:
            file.crc()
        assert not isinstance(caught.value, SourceChanged)
        assert waits.seconds == 0


def test_after_a_failover_a_new_handle_is_taken(path: Path) -> None:
    """The old descriptor fails for good, as that of a restarted file server does."""

    class Restarted(Calls):
        stale: int | None = None

        def read(self, descriptor: int, view: memoryview, offset: int) -> int:
            same = os.fstat(descriptor).st_ino == self.stale
            if same:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return super().read(descriptor, view, offset)

    server = Restarted()
    with opened(path, Access(seconds=0, calls=server)) as file:
        server.stale = path.stat().st_ino
        found, copy = path.stat(), path.with_name("copy")
        copy.write_bytes(DATA)
        os.utime(copy, ns=(found.st_atime_ns, found.st_mtime_ns))
        copy.replace(path)
        assert file.crc() == crc64(DATA)


def test_an_inspection_does_not_wait_for_permission(path: Path) -> None:
    mount, waits = Mount("open", 10**9, errno.EACCES), Waits()
    access = replace(INSPECTING, clock=waits, calls=mount)
    words = "cannot be read: permission denied"
    assert open_regular(path, access=access) == Unavailable(words)
    assert waits.seconds == 0
    mount.number = errno.EIO
    words = "cannot be read: input/output error"
    assert open_regular(path, access=access) == Unavailable(words)
    assert 2 <= waits.seconds < 4


def test_an_inspection_does_not_wait_for_a_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path may have 108 bytes
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("weights")
    waits = Waits()
    access = replace(INSPECTING, clock=waits)
    words = "is a FIFO, socket or device, not a file"
    assert open_regular(tmp_path / "weights", access=access) == Unavailable(words)
    assert waits.seconds == 0


def test_a_directory_opens_its_own_files_only(path: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    path.rename(model / path.name)
    (model / "inside").symlink_to(model / path.name)
    (model / "outside").symlink_to("/etc/hostname")
    (model / "nothing").symlink_to(model / "gone")
    os.mkfifo(model / "fifo")
    source = LocalDirectory(model)
    entries = {entry.name: entry for entry in source.walk().entries}
    for name in (path.name, "inside"):
        file = source.open(entries[name])
        assert isinstance(file, SteadyFile)
        with file:
            assert (file.name, file.read(0, file.size)) == (name, DATA)
    assert {
        name: source.open(entries[name]) for name in ("outside", "nothing", "fifo")
    } == {
        "outside": Unavailable("is a link that leaves the directory"),
        "nothing": Unavailable("is a link to nothing"),
        "fifo": Unavailable("is a FIFO, socket or device, not a file"),
    }
    rewritten(model / path.name)
    words = "changed since the directory was listed"
    assert source.open(entries[path.name]) == Unavailable(words)
    assert walk(model).entries == source.walk().entries
