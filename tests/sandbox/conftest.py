"""The two judges, for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.running import InProcess
from tests.sandbox.court import Court, catalog_with_invented_tokenizers


@pytest.fixture
def court(
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Court:
    """`check` and the sandbox's job, with the same invented tokenizers."""
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys)
    folder = tmp_path_factory.getbasetemp() / "court-bases"
    if not folder.exists():
        catalog_with_invented_tokenizers(folder)
    monkeypatch.setenv("PREFLIGHT_BASES", str(folder))
    return Court(preflight)
