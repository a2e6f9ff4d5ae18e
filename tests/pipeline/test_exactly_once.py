"""One import job, whatever goes wrong between the upload and the end of the wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from werkzeug import Request, Response

from preflight.clock import compressed
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from preflight.sandbox.studio.jobs import Status
from tests.running import (
    InProcess,
    Run,
    command,
    ended,
    environment,
    run,
    started,
    tiny_adapter,
    until,
)

CREATE = {"service": "studio", "operation": "CreateImportJob"}
GET = {"service": "studio", "operation": "GetImportJob"}
LIST = {"service": "studio", "operation": "ListImportJobs"}
QUICK = ("--poll-interval", "0.05")


@dataclass(frozen=True)
class Pusher:
    """The same command, in a process of its own, as often as one likes."""

    box: Sandbox
    words: list[str]
    env: dict[str, str]

    def again(self) -> Run:
        return run(self.words, self.env)

    def jobs(self) -> list[Status]:
        return [job.status for job in self.box.studio.jobs()]


@pytest.fixture
def pusher(sandbox: Sandbox, tmp_path: Path) -> Pusher:
    adapter = tiny_adapter(tmp_path / "adapter")
    destination = f"oss://{sandbox.bucket}/models/one/"
    env = environment(tmp_path / "home", sandbox.environment())
    return Pusher(sandbox, command("push", adapter, destination, *QUICK), env)


def fault(where: dict[str, Any], **what: object) -> Fault:
    return Fault.from_json({**where, **what})


# What comes at different calls has nothing to do with one another: two in one push.
FAULTS = {
    "answer to create lost, 500 at the first list": (
        fault(CREATE, action="cut", at="after"),
        fault(LIST, action="status", status=500, code="Oops"),
    ),
    "answer to create cut short, cut at the first list": (
        fault(CREATE, action="truncate"),
        fault(LIST, action="cut", at="after"),
    ),
    "connection cut before create, 500 while polling": (
        fault(CREATE, action="cut", at="before"),
        fault(GET, action="status", status=500, code="Oops", times=2),
    ),
    "connection cut in the request, 429 while polling": (
        fault(CREATE, action="cut", at="body"),
        fault(GET, action="status", status=429, code="Throttling"),
    ),
    "500 before create, cut while polling": (
        fault(CREATE, action="status", status=500, code="SystemError"),
        fault(GET, action="cut", at="after", times=2),
    ),
    "503 before create, not found right after it": (
        fault(CREATE, action="status", status=503, code="Busy"),
        fault(GET, action="status", status=404, code="NotFound", times=2),
    ),
    "429 before create, a login page while polling": (
        fault(CREATE, action="status", status=429, code="Throttling"),
        fault(GET, action="captive_portal"),
    ),
    "a login page instead of create": (fault(CREATE, action="captive_portal"),),
}


@pytest.fixture
def push(
    pusher: Pusher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Run]:
    """The same command within this process, whose pauses take no time."""
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys).use(pusher.box)

    def call(*more: str) -> Run:
        with compressed():
            return preflight(*pusher.words[3:], *more)

    return call


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_costs_no_job_and_makes_none_twice(
    pusher: Pusher, push: Callable[..., Run], name: str
) -> None:
    for each in FAULTS[name]:
        pusher.box.faults.add(each)
    first = push()
    assert first.code == 0, first.err
    fired = [each.fault for each in pusher.box.faults.fired]
    assert all(fired.count(each) == each.times for each in FAULTS[name])
    assert pusher.jobs() == [Status.SUCCEEDED]
    second = push()
    assert second.code == 0, second.err
    assert "IMPORTED ALREADY" in second.out
    assert pusher.jobs() == [Status.SUCCEEDED]
    (job,) = pusher.box.studio.jobs()
    assert pusher.box.studio.model_is_valid(job.id)


def test_an_outage_of_minutes_after_the_upload_costs_nothing(
    pusher: Pusher, push: Callable[..., Run]
) -> None:
    """The list is asked for before the upload, and then for long in vain."""
    down = {"action": "status", "status": 503, "code": "SystemError"}
    pusher.box.faults.add(fault(LIST, nth=2, times=12, **down))
    done = push()
    assert done.code == 0, done.err
    assert len(pusher.box.faults.fired) == 12
    assert pusher.jobs() == [Status.SUCCEEDED]
    told = [line for line in done.err.splitlines() if "trying again" in line]
    assert len(told) == 4
    assert "waited" in told[-1]


@pytest.mark.parametrize("ahead", [-90, 90, 7200])
def test_two_services_whose_clocks_differ_make_no_second_job(
    pusher: Pusher, push: Callable[..., Run], ahead: int
) -> None:
    """By their times alone the objects would be newer than the job, or the job gone."""
    pusher.box.studio.clock = lambda: time.time() + ahead
    for _ in range(2):
        done = push()
        assert done.code == 0, done.err
    assert "IMPORTED ALREADY" in done.out
    assert pusher.jobs() == [Status.SUCCEEDED]


def test_500_after_create_is_found_in_the_list(
    pusher: Pusher, push: Callable[..., Run]
) -> None:
    """The job was made, and the answer is an error: the list tells."""
    endpoint, pending = pusher.box.studio_endpoint, [500]
    handler = endpoint._handler

    def fail_after(request: Request) -> Response:
        answer = handler(request)
        if request.method == "POST" and pending:
            said = b'{"code": "InternalError", "message": "m", "request_id": "r"}'
            return Response(said, pending.pop(), content_type="application/json")
        return answer

    endpoint._handler = fail_after
    done = push()
    assert done.code == 0, done.err
    assert not pending
    assert "found after a lost answer" in done.err
    assert pusher.jobs() == [Status.SUCCEEDED]


def is_calling(box: Sandbox, name: str, count: int = 1) -> Callable[[], bool]:
    return lambda: box.studio_endpoint.log_calls.count(name) >= count


def kill_when(pusher: Pusher, condition: Callable[[], bool]) -> None:
    with started(pusher.words, pusher.env) as process:
        until(condition)
        process.kill()
        process.wait(timeout=30)
    assert process.returncode == -9


def test_killed_between_upload_and_create(pusher: Pusher) -> None:
    # The second list call, right before create, is held up and then fails.
    hold = fault(LIST, action="latency", seconds=3, nth=2)
    pusher.box.faults.add(hold)
    kill_when(pusher, lambda: len(pusher.box.faults.fired) == 1)
    assert pusher.jobs() == []
    done = pusher.again()
    assert done.code == 0, done.err
    assert pusher.jobs() == [Status.SUCCEEDED]
    assert "IMPORTED ALREADY" in pusher.again().out
    assert len(pusher.jobs()) == 1


def test_killed_between_create_and_the_first_look(pusher: Pusher) -> None:
    pusher.box.studio.policy.job_seconds = 60.0
    pusher.box.faults.add(fault(GET, action="latency", seconds=3))
    kill_when(pusher, lambda: len(pusher.box.faults.fired) == 1)
    assert len(pusher.jobs()) == 1
    pusher.box.studio.policy.job_seconds = 0.0
    done = pusher.again()
    assert done.code == 0, done.err
    assert "joined" in done.err or "IMPORTED ALREADY" in done.out
    assert pusher.jobs() == [Status.SUCCEEDED]


def test_killed_while_create_is_under_way(pusher: Pusher) -> None:
    """The request has arrived, its answer never does: the next run finds the job."""
    pusher.box.faults.add(fault(CREATE, action="latency", seconds=1))
    kill_when(pusher, lambda: len(pusher.box.faults.fired) == 1)
    until(lambda: len(pusher.jobs()) == 1)
    done = pusher.again()
    assert done.code == 0, done.err
    assert pusher.jobs() == [Status.SUCCEEDED]


def test_killed_while_polling(pusher: Pusher) -> None:
    pusher.box.studio.policy.job_seconds = 60.0
    kill_when(pusher, is_calling(pusher.box, "GetImportJob", 2))
    pusher.box.studio.policy.job_seconds = 0.0
    (before,) = pusher.box.studio.jobs()
    done = pusher.again()
    assert done.code == 0, done.err
    (after,) = pusher.box.studio.jobs()
    assert (after.id, after.status) == (before.id, Status.SUCCEEDED)
    assert pusher.box.studio.model_is_valid(after.id)


def test_two_started_together_make_one_job(pusher: Pusher) -> None:
    with (
        started(pusher.words, pusher.env) as one,
        started(pusher.words, pusher.env) as two,
    ):
        runs = [ended(one), ended(two)]
    # On one machine the second is kept out while the first works, or finds it done.
    assert min(done.code for done in runs) == 0, runs[0].err + runs[1].err
    assert {done.code for done in runs} <= {0, 2}
    assert pusher.jobs() == [Status.SUCCEEDED]
    assert pusher.again().code == 0
    assert pusher.jobs() == [Status.SUCCEEDED]
    (job,) = pusher.box.studio.jobs()
    assert pusher.box.studio.model_is_valid(job.id)


def test_without_an_answer_the_end_is_not_success(
    pusher: Pusher, push: Callable[..., Run]
) -> None:
    """Create answers nothing and the list neither: nobody knows, so it is said."""
    pusher.box.faults.add(fault(CREATE, action="cut", at="after"))
    pusher.box.faults.add(fault(LIST, action="status", status=501, nth=3))
    first = push()
    assert first.code == 6
    assert "cannot be known" in first.told()[0]
    assert "✔" not in first.out
    assert push().code == 0
    assert len(pusher.jobs()) == 1


@pytest.mark.parametrize("no_wait", [False, True])
def test_a_failed_job_never_ends_in_success(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    no_wait: bool,
) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)
    sandbox.studio.policy.service_role = False
    words = ("push", adapter, f"oss://{sandbox.bucket}/m/", *QUICK)
    for _ in range(2):  # a failed job is not joined: the next run makes its own
        done = preflight(*words, *(["--no-wait"] if no_wait else []))
        job = sandbox.studio.jobs()[-1]
        if no_wait:
            assert done.code == 0
            assert done.out.splitlines()[-1].startswith("next  preflight wait ")
            done = preflight("wait", job.id, *QUICK)
        assert done.code == 6
        assert " failed: " in done.told()[0]
        assert "✔" not in done.out
        assert any(line.startswith("  request id  ") for line in done.told())
    assert len(sandbox.studio.jobs()) == 2
    assert "status      failed" in preflight("jobs", job.id).out


def test_again_imports_anew(pusher: Pusher, push: Callable[..., Run]) -> None:
    assert push().code == 0
    done = push("--again")
    assert done.code == 0, done.err
    assert pusher.jobs() == [Status.SUCCEEDED] * 2


def test_another_machine_joins_the_job(pusher: Pusher, tmp_path: Path) -> None:
    """No lock and no record is shared: the service's list is the journal."""
    pusher.box.studio.policy.job_seconds = 60.0
    elsewhere = environment(tmp_path / "other", pusher.box.environment())
    with started(pusher.words, pusher.env) as here:
        until(is_calling(pusher.box, "GetImportJob"))
        with started(pusher.words, elsewhere) as there:
            until(is_calling(pusher.box, "ListImportJobs", 3))
            pusher.box.studio.policy.job_seconds = 0.0
            runs = [ended(here), ended(there)]
    assert [done.code for done in runs] == [0, 0], runs[1].err
    assert "joined" in runs[1].err or "IMPORTED ALREADY" in runs[1].out
    (job,) = pusher.box.studio.jobs()
    assert pusher.box.studio.model_is_valid(job.id)
