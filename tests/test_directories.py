"""Homes that are not there, not writable or not a path: nothing raises."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from preflight import directories
from preflight.findings import Unavailable

KINDS = {
    "XDG_STATE_HOME": (directories.state_directory, ".local/state/preflight"),
    "XDG_CONFIG_HOME": (directories.config_directory, ".config/preflight"),
    "XDG_CACHE_HOME": (directories.cache_home, ".cache"),
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, where nothing may ever land."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in KINDS:
        monkeypatch.delenv(name, raising=False)
    return place


def test_everything_lies_below_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert directories.home_directory() == tmp_path
    for find, below in KINDS.values():
        assert find() == tmp_path / below
    assert directories.expanded("~") == tmp_path
    assert directories.expanded("~/a/b") == tmp_path / "a/b"
    assert directories.expanded("a/~/b") == Path("a/~/b")


def test_the_xdg_variables_win_unless_they_are_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, (find, below) in KINDS.items():
        monkeypatch.setenv(name, str(tmp_path / "xdg"))
        assert find() in (tmp_path / "xdg/preflight", tmp_path / "xdg")
        monkeypatch.setenv("HOME", "")
        assert not isinstance(find(), Unavailable)
        monkeypatch.setenv(name, "relative/place")
        assert isinstance(find(), Unavailable)
        monkeypatch.setenv("HOME", str(tmp_path))
        found = find()
        assert isinstance(found, Unavailable) or found == tmp_path / below


def no_entry(_: int) -> pwd.struct_passwd:
    raise KeyError("no such user")


@pytest.mark.parametrize(
    ("home", "reason"),
    [
        (None, "HOME is not set, and no passwd entry names this user"),
        ("", "HOME is empty"),
        ("~", "HOME is not an absolute path"),
        ("relative/home", "HOME is not an absolute path"),
    ],
)
def test_without_a_home_there_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, here: Path, home: str | None, reason: str
) -> None:
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    for find in (directories.home_directory, *(find for find, _ in KINDS.values())):
        assert find() == Unavailable(reason)
    assert directories.expanded("~/x") == Unavailable(reason)
    assert list(here.iterdir()) == []


def test_the_passwd_entry_stands_in_for_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    assert directories.home_directory() == Path(pwd.getpwuid(os.getuid()).pw_dir)


def test_a_temporary_directory_is_never_below_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    made = directories.temporary_directory("test-")
    assert isinstance(made, Path)
    assert made.parent == tmp_path
    assert made.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(directories, "_temporary_places", lambda: [tmp_path / "gone"])
    made = directories.temporary_directory("test-")
    assert isinstance(made, Unavailable)
    assert "TMPDIR" in made.reason
    assert list(here.iterdir()) == []
