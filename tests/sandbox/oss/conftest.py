from __future__ import annotations

from collections.abc import Iterator

import pytest

from preflight.sandbox.faults import FaultPlan
from preflight.sandbox.oss import Credential, OssRoutes, OssState
from preflight.sandbox.server import Endpoint
from tests.sandbox.oss.box import BUCKET, KEY_ID, REGION, SECRET, Box, Clock


@pytest.fixture
def box() -> Iterator[Box]:
    clock, plan = Clock(), FaultPlan()
    state = OssState(region=REGION, clock=clock)
    state.add_credential(Credential(KEY_ID, SECRET))
    state.create_bucket(BUCKET)
    endpoint = Endpoint("oss", OssRoutes(state), faults=plan)
    endpoint.start()
    made = Box(state, endpoint, plan, clock)
    yield made
    made.close()
    endpoint.check()
