from __future__ import annotations

import pytest

from preflight.errors import TransferError
from preflight.oss.retry import Retry, Transient


class Flaky:
    """Fails as told, one error a call, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_transient_errors_are_tried_again_with_growing_pauses() -> None:
    slept: list[float] = []
    retry = Retry(sleep=slept.append, jitter=lambda: 1.0)
    assert retry.call(Flaky(*[Transient("503")] * 5)) == "done"
    assert slept == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_the_last_error_comes_out() -> None:
    flaky = Flaky(*[Transient(f"try {n}") for n in range(1, 9)])
    with pytest.raises(Transient, match="try 3"):
        Retry(attempts=3, sleep=lambda _: None).call(flaky)
    assert flaky.calls == 3


def test_other_errors_are_not_tried_again() -> None:
    flaky = Flaky(TransferError("403"))
    with pytest.raises(TransferError, match="403"):
        Retry(sleep=lambda _: None).call(flaky)
    assert flaky.calls == 1


@pytest.mark.parametrize(
    ("attempt", "asked", "jitter", "pause"),
    [
        (0, 0, 0.5, 0.25),
        (3, 0, 0.0, 0.0),
        (20, 0, 1.0, 30),
        (0, 7, 1.0, 7),
        (0, 99, 0, 30),
    ],
)
def test_a_pause_is_jittered_capped_and_heeds_the_server(
    attempt: int, asked: float, jitter: float, pause: float
) -> None:
    assert Retry(jitter=lambda: jitter).pause(attempt, asked) == pause
