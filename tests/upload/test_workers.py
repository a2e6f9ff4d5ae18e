from __future__ import annotations

import threading

import pytest

from preflight.errors import TransferError
from preflight.oss.body import BLOCK
from preflight.oss.errors import OutOfDescriptors
from preflight.upload.workers import Stopped, Workers


def test_all_jobs_are_done_in_order_by_one_worker() -> None:
    seen: list[int] = []
    jobs = [lambda _, n=n: seen.append(n) for n in range(20)]
    Workers(1, threading.Event()).run(jobs)
    assert seen == list(range(20))


def test_workers_have_buffers_of_their_own() -> None:
    meeting = threading.Barrier(3, timeout=20)
    buffers: list[memoryview] = []

    def job(buffer: memoryview) -> None:
        buffers.append(buffer)
        meeting.wait()

    Workers(3, threading.Event()).run([job] * 3)
    assert len({id(buffer.obj) for buffer in buffers}) == 3
    assert {len(buffer) for buffer in buffers} == {BLOCK}


def test_the_first_error_ends_all_and_no_job_begins_after_it() -> None:
    hurry = threading.Event()
    workers = Workers(2, hurry)
    begun: list[str] = []

    def fail(_: memoryview) -> None:
        raise TransferError("no")

    def wait(_: memoryview) -> None:
        begun.append("waits")
        workers.pause(60)

    def late(_: memoryview) -> None:
        begun.append("late")

    with pytest.raises(TransferError, match="no"):
        workers.run([wait, fail, *[late] * 50])
    assert "late" not in begun
    assert not hurry.is_set()
    with pytest.raises(Stopped):
        workers.check()


def test_where_too_few_files_may_be_open_fewer_work_on() -> None:
    """A worker without a connection gives its job back; the last one has to say it."""
    free, done = threading.Semaphore(2), list[int]()
    meeting = threading.Barrier(4, timeout=20)
    met = threading.Event()

    def job(number: int) -> None:
        if not met.is_set():  # all four are at work before the first one is refused
            meeting.wait()
            met.set()
        if not free.acquire(blocking=False):
            raise OutOfDescriptors("too many files are open at once")
        done.append(number)
        free.release()

    hurry = threading.Event()
    jobs = [lambda _, n=n: job(n) for n in range(40)]
    Workers(4, hurry).run(jobs)
    assert sorted(done) == list(range(40))

    def refused(_: memoryview) -> None:
        raise OutOfDescriptors("too many files are open at once")

    with pytest.raises(OutOfDescriptors):
        Workers(3, hurry).run([refused] * 9)


def test_after_ctrl_c_nobody_waits_for_what_hangs() -> None:
    release, released = threading.Event(), threading.Event()

    def hang(_: memoryview) -> None:
        release.wait(60)
        released.set()

    def interrupt(_: memoryview) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workers(2, threading.Event()).run([hang, interrupt])
    assert not released.is_set()
    release.set()


@pytest.mark.parametrize("allowed", [0, 2])
def test_where_no_more_threads_can_be_made_those_there_are_do_all(
    monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    begin, begun = threading.Thread.start, list[threading.Thread]()

    def start(thread: threading.Thread) -> None:
        if len(begun) == allowed:
            raise RuntimeError("can't start new thread")
        begun.append(thread)
        begin(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    seen: list[int] = []
    jobs = [lambda _, n=n: seen.append(n) for n in range(9)]
    Workers(8, threading.Event()).run(jobs)
    assert sorted(seen) == list(range(9))

    def fail(_: memoryview) -> None:
        raise TransferError("no")

    with pytest.raises(TransferError, match="no"):
        Workers(8, threading.Event()).run([fail])
