"""The walk over real directories with all that may lie in them."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from preflight.model import files
from preflight.model.files import FileEntry, FileKind, walk
from tests.running import environment, run, unprivileged


def entries(root: Path) -> dict[str, FileEntry]:
    return {entry.name: entry for entry in walk(root).entries}


def test_names_sizes_and_order(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"12345")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "z").write_bytes(b"")
    (tmp_path / "a" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "B").write_bytes(b"1")
    found = walk(tmp_path)
    assert [entry.name for entry in found.entries] == [
        "B",
        "a",
        "a/deep",
        "a/deep/er",
        "a/z",
        "b",
    ]
    assert (found.complete, found.unreadable) == (True, ())
    by_name = entries(tmp_path)
    assert (by_name["b"].size, by_name["b"].is_file, by_name["b"].at_top) == (
        5,
        True,
        True,
    )
    assert by_name["b"].mtime_ns == (tmp_path / "b").stat().st_mtime_ns
    assert by_name["a"].kind is FileKind.DIRECTORY
    assert not by_name["a/z"].at_top
    assert all(entry.readable and entry.inside for entry in found.entries)


def test_an_empty_directory(tmp_path: Path) -> None:
    assert walk(tmp_path).entries == ()


def test_links_count_as_what_they_lead_to(tmp_path: Path) -> None:
    root, outside = tmp_path / "model", tmp_path / "outside"
    (root / "sub").mkdir(parents=True)
    outside.write_bytes(b"123")
    (root / "file").write_bytes(b"12")
    (root / "to-file").symlink_to("file")
    (root / "to-outside").symlink_to(outside)
    (root / "to-dots").symlink_to("sub/../../outside")
    (root / "chain").symlink_to("to-outside")
    found = entries(root)
    assert (found["to-file"].size, found["to-file"].inside) == (2, True)
    assert found["to-file"].target == root / "file"
    assert found["file"].target is None
    for name in ("to-outside", "to-dots", "chain"):
        assert found[name].is_file
        assert found[name].size == 3
        assert not found[name].inside
        assert found[name].target == outside


def test_a_root_reached_by_a_link_is_the_inside(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_bytes(b"1")
    (tmp_path / "real" / "link").symlink_to("file")
    (tmp_path / "alias").symlink_to("real")
    assert entries(tmp_path / "alias")["link"].inside


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model-2").mkdir()
    (tmp_path / "model-2" / "file").write_bytes(b"1")
    (tmp_path / "model" / "link").symlink_to("../model-2/file")
    assert not entries(tmp_path / "model")["link"].inside


def test_loops_and_linked_directories_are_not_entered(tmp_path: Path) -> None:
    root = tmp_path / "model"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "up").symlink_to("..")
    (root / "self").symlink_to("self")
    (root / "ping").symlink_to("pong")
    (root / "pong").symlink_to("ping")
    (root / "etc").symlink_to("/etc")
    found = entries(root)
    assert set(found) == {"sub", "sub/up", "self", "ping", "pong", "etc"}
    assert found["sub/up"].kind is FileKind.DIRECTORY
    assert found["etc"].kind is FileKind.DIRECTORY
    assert not found["etc"].inside
    for name in ("self", "ping", "pong"):
        assert found[name].kind is FileKind.DANGLING
        assert not found[name].readable


def test_a_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "inside").symlink_to("gone")
    (tmp_path / "outside").symlink_to("/no/such/file")
    found = entries(tmp_path)
    assert {entry.kind for entry in found.values()} == {FileKind.DANGLING}
    assert (found["inside"].inside, found["outside"].inside) == (True, False)
    assert not any(entry.is_file for entry in found.values())


def test_fifos_sockets_and_devices_are_told_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    with socket.socket(socket.AF_UNIX) as bound:
        here = Path.cwd()
        os.chdir(tmp_path)  # the path of a socket has 107 bytes at most
        try:
            bound.bind("socket")
        finally:
            os.chdir(here)
        found = entries(tmp_path)
    assert set(found) == {"fifo", "null", "socket"}
    for entry in found.values():
        assert entry.kind is FileKind.SPECIAL
        assert (entry.readable, entry.size) == (False, 0)


NAMES = [
    "two\nlines",
    "\x1b[31mred",
    " leading and trailing ",
    "-rf",
    "quote'\"",
    "back\\slash",
    "模型 🙂",
    "x" * 255,
    os.fsdecode(b"no\xffutf-8"),
]


def test_odd_names_come_as_they_are(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_bytes(b"1")
    assert set(entries(tmp_path)) == set(NAMES)
    assert [entry.name for entry in walk(tmp_path).entries] == sorted(NAMES)


def test_what_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"1")
    (tmp_path / "secret").chmod(0)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed").chmod(0)
    code = (
        "import json, sys, pathlib; from preflight.model.files import walk\n"
        "found = walk(pathlib.Path(sys.argv[1]))\n"
        "readable = {entry.name: entry.readable for entry in found.entries}\n"
        "print(json.dumps([found.unreadable, readable]))"
    )
    words = unprivileged([sys.executable, "-c", code, str(tmp_path)])
    done = run(words, environment(tmp_path.parent / "home"))
    assert json.loads(done.out) == [["closed"], {"secret": False, "closed": False}]


def test_a_directory_that_is_not_there_is_unreadable(tmp_path: Path) -> None:
    assert walk(tmp_path / "gone").unreadable == (".",)


def test_a_huge_directory(tmp_path: Path) -> None:
    """More entries than the system hands out at once, which is 32 KB of them."""
    for number in range(1_200):
        (tmp_path / f"{number:032}").touch()
    found = walk(tmp_path)
    assert len(found.entries) == 1_200
    assert found.complete


def test_deep_directories(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(300):
        folder = folder / "d"
    folder.mkdir(parents=True)
    assert len(walk(tmp_path).entries) == 300


@pytest.mark.parametrize(("count", "complete"), [(9, True), (10, True), (11, False)])
def test_the_walk_stops_at_its_limit_and_says_so(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    *,
    complete: bool,
) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 10)
    for number in range(count):
        (tmp_path / f"{number:02}").touch()
    found = walk(tmp_path)
    assert found.complete is complete
    assert len(found.entries) == min(count, 10)
