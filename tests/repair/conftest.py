"""Tiny directories to break and to repair, and the command that does it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, write_tiny_bases
from tests.running import InProcess


@pytest.fixture(autouse=True)
def tiny_bases(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The two invented bases, which are known to all tests here."""
    folder = write_tiny_bases(tmp_path_factory.getbasetemp() / "tiny-bases")
    monkeypatch.setenv("PREFLIGHT_BASES", str(folder))
    return folder


@pytest.fixture
def preflight(
    tmp_path: Path,
    tiny_bases: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    """The command line, with a home of its own."""
    run = InProcess(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.setenv("PREFLIGHT_BASES", str(tiny_bases))
    return run


def adapter(directory: Path, **other: object) -> Path:
    """A good adapter with a tokenizer beside it."""
    words: dict[str, object] = {"trainer": "trl", "template": TINY_TEMPLATE}
    return build_adapter(directory, base=TINY_TEXT, **{**words, **other})  # type: ignore[arg-type]


def full(directory: Path, base: str = TINY_TEXT) -> Path:
    """Good full weights in several shards."""
    return build_full(
        directory, base=base, sparse=False, shard_bytes=60_000, template=TINY_TEMPLATE
    )
