"""The invented bases, made known to the catalog as a user's own are."""

from __future__ import annotations

import pytest

from fixtures.tiny import write_tiny_bases


@pytest.fixture(autouse=True)
def tiny_bases(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.getbasetemp() / "tiny-bases"
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_tiny_bases(folder)))
