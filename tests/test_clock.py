from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from preflight.clock import seconds_ahead


@pytest.mark.parametrize(
    "date",
    [
        "",
        "soon",
        "99",
        "Mon, 99 Nov 2026 12:00:00 GMT",
        "Thu, 01 Jan 1970 12:52:37 GMT",
    ],
)
def test_a_date_that_is_none(date: str) -> None:
    assert seconds_ahead(date) is None


def test_a_date_tells_how_far_its_writer_is_ahead() -> None:
    found = seconds_ahead(formatdate(time.time() + 5000, usegmt=True))
    assert found is not None
    assert 4900 < found <= 5000
