"""A few at a time, and an end for all of them."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from preflight.errors import Interrupted
from preflight.pipeline.lanes import Stoppable, in_lanes
from preflight.record import Gatherer, RunRecord


@pytest.mark.parametrize("lanes", [1, 3])
def test_each_task_is_done_once_and_so_many_at_a_time(lanes: int) -> None:
    done: list[int] = []
    at_work, is_room = threading.Semaphore(lanes), list[bool]()

    def task(number: int) -> None:
        is_room.append(at_work.acquire(blocking=False))
        done.append(number)
        at_work.release()

    in_lanes([partial(task, number) for number in range(9)], lanes, threading.Event())
    assert sorted(done) == list(range(9))
    assert all(is_room)


def test_tasks_run_side_by_side() -> None:
    """Each waits for the other."""
    meeting = threading.Barrier(2, timeout=30)

    def task() -> None:
        meeting.wait()

    in_lanes([task, task], 2, threading.Event())


def test_an_error_ends_all_that_look_at_it() -> None:
    stop, begun = threading.Event(), threading.Event()
    seen: list[str] = []

    def works() -> None:
        begun.set()
        stop.wait(30)
        with Stoppable(Gatherer(RunRecord("push")), stop).stage("upload"):
            seen.append("a stage began")

    def fails() -> None:
        begun.wait(30)
        raise KeyError("x")

    with pytest.raises((KeyError, Interrupted)):
        in_lanes([works, fails, lambda: seen.append("a task began")], 2, stop)
    assert seen == []


def test_bytes_that_move_look_whether_it_is_over() -> None:
    stop = threading.Event()
    progress = Stoppable(Gatherer(RunRecord("push")), stop).progress()
    progress.start(10, "uploading")
    progress.flow("a", 1, 5)
    stop.set()
    with pytest.raises(Interrupted):
        progress.flow("a", 1, 6)
    with pytest.raises(Interrupted):
        progress.advance(1)
    progress.flow("a", 1, 0)  # the end of a part is told all the same
    progress.finish()
