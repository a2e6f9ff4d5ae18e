from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.contract.service import (
    Service,
    live_service,
    missing_for_live,
    sandbox_service,
    wants_live,
)


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """The sandbox, or with PREFLIGHT_LIVE=1 the real services."""
    if not wants_live(os.environ):
        with sandbox_service() as made:
            yield made
        return
    if missing := missing_for_live(os.environ):
        pytest.skip(f"PREFLIGHT_LIVE=1 needs {', '.join(missing)}")
    with live_service(os.environ) as made:
        yield made


@pytest.fixture
def in_sandbox(service: Service) -> Service:
    """For what cannot or must not be provoked on the real services."""
    if service.is_live:
        pytest.skip("the sandbox alone")
    return service
