from __future__ import annotations

from collections.abc import Iterator

import pytest

from preflight.sandbox.faults import FaultPlan
from preflight.sandbox.oss import OssState
from tests.sandbox.oss.box import REGION, Box, Clock, serving


@pytest.fixture
def box() -> Iterator[Box]:
    clock = Clock()
    state = OssState(region=REGION, clock=clock)
    with serving(state, FaultPlan(), clock) as made:
        yield made
