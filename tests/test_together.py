from __future__ import annotations

import threading
from functools import partial

import pytest

from preflight.together import Asked, together


def test_all_are_under_way_at_the_same_time_and_answers_keep_their_order() -> None:
    meeting = threading.Barrier(5, timeout=30)

    def ask(number: int) -> int:
        meeting.wait()
        return number

    calls = [lambda n=n: ask(n) for n in range(5)]
    assert together(calls) == [0, 1, 2, 3, 4]
    assert together([]) == []


def test_no_more_than_so_many_at_a_time() -> None:
    lock, most, now = threading.Lock(), [0], [0]

    def ask() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        with lock:
            now[0] -= 1

    together([ask] * 200, most=3)
    assert 1 <= most[0] <= 3


def test_the_first_error_in_their_order_is_raised() -> None:
    second_failed = threading.Event()

    def first() -> None:
        assert second_failed.wait(30)
        raise ValueError("first")

    def second() -> None:
        second_failed.set()
        raise KeyError("second")

    with pytest.raises(ValueError, match="first"):
        together([first, second])


@pytest.mark.parametrize("fails", [False, True])
def test_without_threads_all_is_asked_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    asked: Asked[int] = Asked(lambda: 1 // (0 if fails else 1))
    if fails:
        with pytest.raises(ZeroDivisionError):
            asked.result()
    else:
        assert asked.result() == 1
        assert together([partial(int, n) for n in range(9)]) == list(range(9))
