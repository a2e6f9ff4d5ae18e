from __future__ import annotations

from functools import partial

import pytest

from preflight.oss.body import BLOCK
from preflight.upload.throttle import Throttle
from tests.manual_clock import ManualClock


def test_a_throttle_keeps_the_rate_over_all_its_users() -> None:
    clock = ManualClock()
    began = clock.now()
    throttle = Throttle(1000, clock.sleep, clock.now)
    for take in [partial(throttle.take, 100)] * 50:
        take()
    assert clock.now() - began == pytest.approx(4.9)  # the last slot still runs
    assert throttle.block(BLOCK) == 125


def test_no_limit_means_no_wait() -> None:
    throttle = Throttle(0, lambda _: pytest.fail("it slept"))
    throttle.take(1 << 40)
    assert throttle.block(BLOCK) == BLOCK
