"""What a run leaves behind: stages, the state directory, whole files."""

from __future__ import annotations

import os
import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from preflight.record import (
    KEPT,
    RunRecord,
    record_path,
    save_record,
    write_whole,
)


def test_a_stage_is_named_while_it_runs_and_timed_when_it_ends() -> None:
    record = RunRecord("push")
    with record.timed("scan"):
        assert record.stage == "scan"
        assert record.stages == {}
    assert record.stage == ""
    assert record.stages["scan"] >= 0
    first = record.stages["scan"]
    with record.timed("scan"):
        pass
    assert record.stages["scan"] >= first


def test_a_stage_that_broke_keeps_its_name_and_its_time() -> None:
    record = RunRecord("push")
    with pytest.raises(KeyboardInterrupt), record.timed("upload"):
        raise KeyboardInterrupt
    assert record.stage == "upload"
    assert set(record.stages) == {"upload"}


MOMENT = datetime(2026, 11, 2, 3, 4, 5, 678, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("out/adapter", "adapter"),
        ("out/it's $HOME", "it-s-HOME"),
        ("模型", "-"),
        ("", "model"),
        ("/", "model"),
        ("x" * 200, "x" * 60),
        ("a\nb", "a-b"),
    ],
)
def test_a_record_is_named_by_time_command_and_directory(
    tmp_path: Path, directory: str, name: str
) -> None:
    record = RunRecord("push", directory, started=MOMENT)
    path = record_path(record, tmp_path)
    save_record({"é": 1}, path)
    assert path == tmp_path / "runs" / f"20261102T030405000678-push-{name}.json"
    assert path.read_text("utf-8") == '{\n  "é": 1\n}\n'
    save_record({"é": 2}, path, ended=False)
    assert path.read_text("utf-8") == '{"é": 2}\n'
    assert path.stat().st_mode & 0o077 == 0  # no one else's business


def test_old_records_go(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.mkdir()
    for number in range(KEPT + 5):
        stamp = (MOMENT - timedelta(days=1, seconds=number)).strftime("%Y%m%dT%H%M%S%f")
        (runs / f"{stamp}-push-old.json").touch()
    (runs / "notes.txt").touch()
    newest = record_path(RunRecord("push", "m", started=MOMENT), tmp_path)
    save_record({}, newest)
    left = sorted(runs.glob("*.json"))
    assert len(left) == KEPT
    assert left[-1] == newest
    assert (runs / "notes.txt").exists()


def test_write_whole_replaces(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    write_whole(target, "old")
    before = target.stat().st_ino
    write_whole(target, "né\n")
    assert target.read_bytes() == "né\n".encode()
    assert target.stat().st_ino != before
    assert [path.name for path in tmp_path.iterdir()] == ["report.txt"]


def test_write_whole_leaves_nothing_half_done(tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    write_whole(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(target, "x" * 100_000 + "\udcff")
    assert target.read_text("utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.txt"]


def test_write_whole_spares_what_is_no_ordinary_file(tmp_path: Path) -> None:
    """As root a rename would take the place of /dev/stdout itself."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, "told")
    assert os.read(reader, 100) == b"told"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    link.symlink_to("target")
    write_whole(link, "through")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text("utf-8") == "through"


def test_others_may_read_what_was_written(tmp_path: Path) -> None:
    """As the umask has it, for whoever collects a CI job's results."""
    before = os.umask(0o022)
    try:
        write_whole(tmp_path / "report.json", "{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o644


def test_write_whole_where_there_is_no_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "no" / "report.txt", "x")
