"""The two judges are the sandbox tests' own."""

from __future__ import annotations

from tests.sandbox.conftest import court

__all__ = ["court"]
