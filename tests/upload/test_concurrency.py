"""The number of workers that is found, on links that are computed: no time passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from preflight.upload.concurrency import MAX_WORKERS, Fixed, Found, first_workers
from tests.manual_clock import ManualClock

MB = 1e6
PART = 16 * MB


@dataclass(frozen=True)
class Link:
    """`rate` of so many workers, in bytes/s; above `refuses` bytes/s it says 503."""

    rate: Callable[[int], float]
    latency: float
    refuses: float = float("inf")


def limited(each: float, latency: float, total: float = float("inf")) -> Link:
    """Every connection waits for an answer after each part; all share `total`."""
    alone = PART / (PART / each + latency)
    return Link(lambda workers: min(total, workers * alone), latency)


def crowded(total: float, few: int) -> Link:
    """A fast link on few cores: more than `few` workers get into each other's way."""
    return Link(
        lambda n: total * min(1, n / few) / (1 + max(0, n - few) / (8 * few)), 0.001
    )


LINKS = {
    "fast": crowded(3500 * MB, 4),
    "60 MB/s, 30 ms": limited(60 * MB, 0.03, 2000 * MB),
    "20 MB/s, 150 ms": limited(20 * MB, 0.15),
    "5 MB/s, 200 ms": limited(5 * MB, 0.2),
    "one line of 12 MB/s": limited(30 * MB, 0.05, 12 * MB),
    "503 above 100 MB/s": Link(lambda n: n * 30 * MB, 0.005, refuses=100 * MB),
    "one connection is enough": Link(lambda n: 50 * MB / (1 + 0.02 * n), 0.005),
}
TICK = 0.1


def sent(
    size: Found | Fixed, clock: ManualClock, link: Link, seconds: float, moved: float
) -> float:
    """Bytes that arrive, refused ones not counted, in so many seconds."""
    arrived = 0.0
    size.begin(int(moved))
    for _ in range(int(seconds / TICK)):
        clock.sleep(TICK)
        rate = link.rate(size.now)
        moved += rate * TICK
        if rate > link.refuses:
            size.refused()
            rate = link.refuses * 0.7  # what is refused was sent for nothing
        arrived += rate * TICK
        size.look(int(moved))
    return arrived


def best(link: Link, seconds: float) -> float:
    return max(
        sent(Fixed(n), ManualClock(), link, seconds, 0)
        for n in range(1, MAX_WORKERS + 1)
    )


@pytest.mark.parametrize("name", LINKS)
def test_nine_tenths_of_the_best_number_are_reached(name: str) -> None:
    link, clock = LINKS[name], ManualClock()
    size = Found(first_workers(link.latency), clock=clock)
    got = sent(size, clock, link, 120, 0)
    assert got >= 0.9 * best(link, 120), (size.now, got / best(link, 120))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("20 MB/s, 150 ms", "one line of 12 MB/s"),
        ("one line of 12 MB/s", "20 MB/s, 150 ms"),
        ("fast", "5 MB/s, 200 ms"),
        ("60 MB/s, 30 ms", "503 above 100 MB/s"),
        ("503 above 100 MB/s", "60 MB/s, 30 ms"),
    ],
)
def test_a_link_that_changes_is_followed(before: str, after: str) -> None:
    first, second, clock = LINKS[before], LINKS[after], ManualClock()
    size = Found(first_workers(first.latency), clock=clock)
    sent(size, clock, first, 60, 0)
    got = sent(size, clock, second, 240, 0)
    assert got >= 0.85 * best(second, 240), (size.now, got / best(second, 240))


def lumpy(size: Found, clock: ManualClock, each: float, seconds: float) -> float:
    """Bytes in so many seconds of workers that hand over a part when they begin it.

    The system's buffers take it at once, and drain at `each` bytes/s.
    """
    moved, free = 0.0, [0.0] * size.most  # seconds at which each worker is free
    size.begin(0)
    start = clock.now()
    for _ in range(int(seconds / TICK)):
        clock.sleep(TICK)
        passed = clock.now() - start
        for number in range(size.now):
            if free[number] <= passed:
                if free[number]:
                    size.took(PART / each)
                free[number] = passed + PART / each
                moved += PART
        size.look(int(moved))
    return moved


@pytest.mark.parametrize("each", [5 * MB, 8 * MB, 12 * MB])
def test_parts_that_come_in_waves_mislead_nobody(each: float) -> None:
    clock = ManualClock()
    size = Found(48, clock=clock)
    got = lumpy(size, clock, each, 240)
    assert got >= 0.9 * MAX_WORKERS * each * 240, size.now


def test_a_rate_that_breaks_down_is_answered_at_once() -> None:
    near, thin, clock = LINKS["60 MB/s, 30 ms"], LINKS["5 MB/s, 200 ms"], ManualClock()
    size = Found(16, clock=clock)
    sent(size, clock, near, 20, 0)
    assert size.now < MAX_WORKERS
    got = sent(size, clock, thin, 2, 0)
    assert size.now == MAX_WORKERS
    assert got >= 0.75 * sent(Fixed(MAX_WORKERS), ManualClock(), thin, 2, 0)


def test_a_moment_s_weakness_is_forgotten() -> None:
    fast, clock = LINKS["fast"], ManualClock()
    weak = Link(lambda n: fast.rate(n) / 20, 0.001)
    size = Found(4, clock=clock)
    sent(size, clock, fast, 30, 0)
    assert size.now == 4
    sent(size, clock, weak, 0.75, 0)
    got = sent(size, clock, fast, 120, 0)
    assert got >= 0.9 * best(fast, 120)


def test_it_begins_with_few_near_by_and_with_many_far_away() -> None:
    assert first_workers(None) == first_workers(0.002) <= 8
    assert first_workers(0.002) < first_workers(0.03) < first_workers(0.2) < MAX_WORKERS


def test_what_is_refused_at_once_counts_once_and_one_worker_stays() -> None:
    clock = ManualClock()
    size = Found(16, clock=clock)
    for _ in range(10):
        size.refused()
    assert size.now == 11
    for _ in range(20):
        clock.sleep(5)
        size.refused()
    assert size.now == 1


def test_an_outage_teaches_nothing() -> None:
    clock = ManualClock()
    size = Found(4, clock=clock)
    size.begin(0)
    for _ in range(200):
        clock.sleep(TICK)
        size.look(0)
    assert size.now == 4
