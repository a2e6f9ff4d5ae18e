"""The place of the result: whole or not there, linked or copied, never the source."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from preflight.errors import UsageError
from preflight.model.files import FileEntry, walk
from preflight.repair import stage as repair_stage
from preflight.repair.stage import (
    check_target,
    place,
    publish,
    same_files,
    stage_beside,
)


def entry_of(path: Path) -> FileEntry:
    return next(each for each in walk(path.parent).entries if each.name == path.name)


def test_a_large_file_is_shared_and_a_small_one_copied(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    large, small = tmp_path / "from" / "large", tmp_path / "from" / "small"
    large.write_bytes(os.urandom(1 << 20))
    small.write_bytes(b"x" * 100)
    seen: list[int] = []
    linked = place(entry_of(large), tmp_path / "large", seen.append)
    assert (tmp_path / "large").read_bytes() == large.read_bytes()
    # A clone is a file of its own; else it is the same file under a second name.
    assert (tmp_path / "large").samefile(large) is linked
    assert place(entry_of(small), tmp_path / "small", seen.append) is False
    assert not (tmp_path / "small").samefile(small)
    assert sum(seen) == (1 << 20) + 100


def test_where_links_are_refused_it_is_copied(tmp_path: Path) -> None:
    """Across devices: the tests' directory is on one of these two."""
    here = tmp_path.stat().st_dev
    places = [Path("/dev/shm"), Path("/var/tmp")]  # noqa: S108
    others = [each for each in places if each.is_dir() and each.stat().st_dev != here]
    if not others:
        pytest.skip("there is no second device")
    large = tmp_path / "large"
    large.write_bytes(os.urandom(3 << 20))
    target = others[0] / f"preflight-test-{os.getpid()}"
    try:
        assert place(entry_of(large), target, lambda _: None) is False
        assert target.read_bytes() == large.read_bytes()
    finally:
        target.unlink(missing_ok=True)


def test_a_file_that_changed_since_it_was_seen_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(2 << 20))
    entry = entry_of(path)
    path.write_bytes(bytes(3 << 20))
    with pytest.raises(Exception, match="changed"):
        place(entry, tmp_path / "new", lambda _: None)
    assert not (tmp_path / "new").exists()


def filled(stage: Path, text: str = "a") -> Path:
    (stage / "file").write_text(text)
    return stage


def test_it_is_put_there_in_one_step_and_the_same_again_is_no_change(
    tmp_path: Path,
) -> None:
    target = tmp_path / "deep" / "new"
    with stage_beside(target) as stage:
        assert publish(filled(stage), target, force=False)
    before = (target / "file").stat().st_ino
    with stage_beside(target) as stage:
        assert not publish(filled(stage), target, force=False)
    assert (target / "file").stat().st_ino == before
    assert [path.name for path in target.parent.iterdir()] == ["new"]


def test_an_empty_directory_becomes_it_and_another_one_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "new"
    target.mkdir()
    with stage_beside(target) as stage:
        assert publish(filled(stage), target, force=False)
    with stage_beside(target) as stage, pytest.raises(UsageError, match="not empty"):
        publish(filled(stage, "b"), target, force=False)
    assert (target / "file").read_text() == "a"
    with stage_beside(target) as stage:
        assert publish(filled(stage, "b"), target, force=True)
    assert (target / "file").read_text() == "b"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_a_dead_run_left_goes_and_what_a_live_one_holds_stays(
    tmp_path: Path,
) -> None:
    target = tmp_path / "new"
    dead = tmp_path / ".new.preflight-0badcafe"
    dead.mkdir()
    (dead / "file").write_text("half")
    with stage_beside(target) as live, stage_beside(target) as other:
        assert not dead.exists()
        assert live.exists()
        assert other.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_died_between_its_last_two_steps_is_undone(tmp_path: Path) -> None:
    target, old = tmp_path / "new", tmp_path / ".new.preflight-0badcafe-old"
    old.mkdir()
    (old / "file").write_text("as it was")
    with stage_beside(target):
        assert (target / "file").read_text() == "as it was"
    assert not old.exists()


@pytest.mark.parametrize("where", ["source", "source/new", ".", "file", "link"])
def test_the_source_and_odd_places_are_no_target(where: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(UsageError):
        check_target(tmp_path / where, source)
    check_target(tmp_path / "new", source)


def test_the_same_files_are_told_by_their_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for each in (one, other):
        each.mkdir()
        filled(each)
        os.utime(each / "file", (time.time(), len(each.name)))
    assert same_files(one, other)
    (other / "more").write_text("")
    assert not same_files(one, other)
    (one / "more").mkdir()
    assert not same_files(one, other)


def test_these_refusals_of_a_link_lead_to_a_copy() -> None:
    assert {errno.EXDEV, errno.EPERM, errno.EMLINK} <= set(repair_stage._NO_LINK)
