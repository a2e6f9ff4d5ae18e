"""A pytest plugin with one fixture, `sandbox`: a fresh sandbox for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from preflight.sandbox import Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """Both services on loopback, their state below the test's own directory.

    A request that the sandbox itself failed on fails the test when it ends.
    """
    with Sandbox(directory=tmp_path / "sandbox") as box:
        yield box
        box.check()
