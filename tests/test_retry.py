from __future__ import annotations

import math
import threading

import pytest

from preflight.clock import SystemClock, compressed
from preflight.errors import ServiceUnavailable, TransferError
from preflight.retry import Patience, Retry, RetryEvent, Transient
from tests.manual_clock import ManualClock


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


def test_each_retry_is_one_event_with_growing_pauses() -> None:
    clock, events = ManualClock(), list[RetryEvent]()
    errors = [Transient(f"try {n}") for n in range(1, 6)]
    retry = Retry(clock=clock, jitter=lambda: 1.0, on_retry=events.append)
    assert retry.call(Flaky(*errors)) == "done"
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.pause for event in events] == clock.slept
    assert [event.waited for event in events] == [0, 0.5, 1.5, 3.5, 7.5]
    assert [event.cause for event in events] == errors


def test_the_last_error_comes_out_and_other_errors_at_once() -> None:
    flaky = Flaky(*[Transient(f"try {n}") for n in range(1, 9)])
    with pytest.raises(Transient, match="try 3"):
        Retry(attempts=3, clock=ManualClock()).call(flaky)
    assert flaky.calls == 3
    flaky = Flaky(TransferError("403"))
    with pytest.raises(TransferError, match="403"):
        Retry(clock=ManualClock()).call(flaky)
    assert flaky.calls == 1


def test_what_is_retried_can_be_another_kind() -> None:
    clock = ManualClock()
    retry = Retry(on=ServiceUnavailable, clock=clock)
    assert retry.call(Flaky(ServiceUnavailable("down"))) == "done"
    assert len(clock.slept) == 1


@pytest.mark.parametrize(
    ("number", "asked", "jitter", "pause"),
    [
        (1, 0, 0.5, 0.25),
        (4, 0, 0.0, 0.0),
        (5, 0, 1.0, 8),
        (1, 7, 1.0, 7),
        (1, 120, 0, 120),
        (1, 121, 0, None),
        (6, 0, 0, None),
    ],
)
def test_a_pause_is_jittered_capped_and_heeds_the_server(
    number: int, asked: float, jitter: float, pause: float | None
) -> None:
    assert Retry(jitter=lambda: jitter).pause(number, asked) == pause
    assert Retry(attempts=None, jitter=lambda: 1.0).pause(10**6, 0) == 30


def test_patience_is_time_without_movement_and_ends_with_an_attempt() -> None:
    clock = ManualClock()
    patience = Patience(100, clock)
    retry = Retry(attempts=None, clock=clock, jitter=lambda: 1.0, patience=patience)
    flaky = Flaky(*[Transient("down") for _ in range(99)])
    with pytest.raises(Transient):
        retry.call(flaky)
    assert sum(clock.slept) == 100
    assert patience.left == 0
    patience.moved()
    assert patience.left == 100
    # A server that asks for more than there is gets what is left, up to its limit.
    assert retry.pause(1, 1e9) == 100
    assert Retry(patience=Patience(math.inf, clock)).pause(1, 1e9) == 120


def test_with_patience_the_attempts_are_the_least() -> None:
    """On a slow line nothing moves for longer than an outage may last."""
    clock = ManualClock()
    patience = Patience(5, clock)
    clock.time += 3600
    retry = Retry(attempts=4, clock=clock, jitter=lambda: 1.0, patience=patience)
    with patience.working():
        clock.time += 3600  # a part that took so long, and failed
        flaky = Flaky(*[Transient("cut") for _ in range(9)])
        with pytest.raises(Transient):
            retry.call(flaky)
    assert flaky.calls == 4
    with patience.working(), patience.working():
        assert patience.left == 5
    over = Patience(600, clock, over=lambda: True)
    assert over.left == 0


class Spoilt(Transient):
    """Waiting does not help."""

    is_outage = False


def test_patience_is_for_outages_alone() -> None:
    clock = ManualClock()
    flaky = Flaky(*[Spoilt("other bytes") for _ in range(99)])
    retry = Retry(attempts=4, clock=clock, patience=Patience(600, clock))
    with pytest.raises(Spoilt):
        retry.call(flaky)
    assert flaky.calls == 4


def test_what_one_thread_moves_gives_the_others_time() -> None:
    clock = ManualClock()
    patience = Patience(10, clock)
    retry = Retry(attempts=None, clock=clock, jitter=lambda: 1.0, patience=patience)
    calls = 0

    def failing_while_others_work() -> str:
        nonlocal calls
        calls += 1
        patience.moved()
        if calls < 50:
            raise Transient("mine alone")
        return "done"

    assert retry.call(failing_while_others_work) == "done"
    assert sum(clock.slept) > 100


def test_compressed_time_passes_at_once_in_every_thread() -> None:
    clock = SystemClock()
    with compressed():
        began = clock.now()
        threads = [threading.Thread(target=clock.sleep, args=(3600,)) for _ in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert clock.now() - began >= 7200
        flaky = Flaky(*[Transient("down") for _ in range(400)])
        patience = Patience(600)
        with pytest.raises(Transient):
            Retry(attempts=None, patience=patience).call(flaky)
        assert patience.idle >= 600
    assert clock.now() - began >= 7200  # it never runs backwards


def test_a_pause_ends_when_haste_is_made() -> None:
    hurry = threading.Event()
    hurry.set()
    SystemClock(hurry).sleep(3600)
