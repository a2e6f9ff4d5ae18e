"""The invented bases, for tests that ask for them."""

from __future__ import annotations

import pytest

from fixtures.tiny import write_tiny_bases


@pytest.fixture
def tiny_bases(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make the two invented bases known to the catalog."""
    folder = tmp_path_factory.getbasetemp() / "tiny-bases"
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_tiny_bases(folder)))
