from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from preflight.errors import (
    AccessDenied,
    AmbiguousAnswer,
    ImportFailed,
    ServiceUnavailable,
)
from preflight.findings import WeightType
from preflight.retry import RetryEvent
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault
from preflight.sandbox.studio.jobs import Status
from preflight.studio import (
    Contents,
    How,
    ImportApi,
    ImportJob,
    ImportRequest,
    StudioClient,
    submit,
)
from preflight.studio.jobs import UNKNOWN_LASTS
from tests.manual_clock import ManualClock
from tests.raw_server import OK, http, raw_server

PATH = "/api/v1/custom_models/import"
LOST: list[dict[str, Any]] = [
    {"action": "cut", "at": "after"},
    {"action": "truncate"},
]
NOT_DONE: list[dict[str, Any]] = [
    {"action": "cut", "at": "before"},
    {"action": "cut", "at": "body"},
    {"action": "status", "status": 500, "code": "InternalError"},
    {"action": "status", "status": 503, "code": "SystemError"},
    {"action": "status", "status": 429, "code": "Throttling"},
    {"action": "captive_portal"},
]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def box_api(sandbox: Sandbox, clock: ManualClock) -> Iterator[ImportApi]:
    sandbox.studio.policy.job_seconds = 3600
    with StudioClient(sandbox.studio_url, sandbox.api_key, clock=clock) as client:
        yield ImportApi(client)


def break_create(sandbox: Sandbox, fault: dict[str, Any], times: int | str = 1) -> None:
    sandbox.faults.add(
        Fault.from_json(
            {
                "service": "studio",
                "operation": "CreateImportJob",
                "times": times,
                **fault,
            }
        )
    )


def request_for(bucket: str, prefix: str = "m/a/") -> ImportRequest:
    return ImportRequest("qwen3-8b", "", WeightType.LORA, bucket, prefix)


def test_the_first_submission_creates(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    done = submit(box_api, request_for(sandbox.bucket), clock=clock)
    assert (done.how, done.attempts) == (How.CREATED, 1)
    assert len(sandbox.studio.jobs()) == 1
    assert clock.slept == []


def test_the_second_submission_joins_the_first(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    request = request_for(sandbox.bucket)
    first = submit(box_api, request, clock=clock)
    for again in (False, True):
        second = submit(box_api, request, clock=clock, again=again)
        assert (second.how, second.attempts) == (How.JOINED, 0)
        assert second.job.job_id == first.job.job_id
    assert len(sandbox.studio.jobs()) == 1
    other = submit(box_api, request_for(sandbox.bucket, "m/b/"), clock=clock)
    assert other.how is How.CREATED


@pytest.mark.parametrize("fault", LOST)
def test_a_job_whose_answer_was_lost_is_found(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock, fault: dict[str, Any]
) -> None:
    break_create(sandbox, fault)
    done = submit(box_api, request_for(sandbox.bucket), clock=clock)
    assert (done.how, done.attempts) == (How.FOUND_AFTER_LOST_ANSWER, 1)
    (job,) = sandbox.studio.jobs()
    assert job.id == done.job.job_id


@pytest.mark.parametrize("fault", NOT_DONE)
def test_a_request_that_was_not_carried_out_is_sent_again(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock, fault: dict[str, Any]
) -> None:
    break_create(sandbox, fault, times=2)
    done = submit(box_api, request_for(sandbox.bucket), clock=clock)
    assert (done.how, done.attempts) == (How.CREATED, 3)
    assert len(sandbox.studio.jobs()) == 1


def test_a_service_that_turns_requests_away_is_waited_for(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    """As long as patience lasts; without it the attempts are three."""
    throttled = {**NOT_DONE[4], "headers": {"Retry-After": "20"}}
    request = request_for(sandbox.bucket)
    told: list[RetryEvent] = []
    break_create(sandbox, throttled, times=12)
    done = submit(box_api, request, clock=clock, patience=600, on_retry=told.append)
    assert (done.how, done.attempts) == (How.CREATED, 13)
    assert sum(clock.slept) >= 12 * 20
    assert len(told) == 12
    sandbox.faults.clear()
    break_create(sandbox, throttled, times="always")
    other = request_for(sandbox.bucket, "m/b/")
    for patience, least, most in [(0.0, 40.0, 60.0), (90.0, 90.0, 91.0)]:
        began = clock.now()
        with pytest.raises(ServiceUnavailable, match="Throttling"):
            submit(box_api, other, clock=clock, patience=patience)
        assert least <= clock.now() - began <= most
    assert len(sandbox.studio.jobs()) == 1


def test_an_older_job_of_the_place_is_not_taken_for_the_lost_one(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    sandbox.studio.policy.job_seconds = 0
    request = request_for(sandbox.bucket)
    old = submit(box_api, request, clock=clock).job
    while not box_api.get(old.job_id).failed:
        pass
    break_create(sandbox, LOST[0])
    done = submit(box_api, request, clock=clock)
    assert done.how is How.FOUND_AFTER_LOST_ANSWER
    assert done.job.job_id != old.job_id
    assert len(sandbox.studio.jobs()) == 2


def test_a_service_that_stays_down_gets_three_requests(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    break_create(sandbox, NOT_DONE[2], times="always")
    with pytest.raises(AmbiguousAnswer, match="InternalError") as caught:
        submit(box_api, request_for(sandbox.bucket), clock=clock)
    assert caught.value.exit_code == 6
    assert len(sandbox.faults.fired) == 3
    assert sandbox.studio.jobs() == ()


def test_nothing_is_sent_again_while_the_list_cannot_be_read(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    break_create(sandbox, LOST[0])
    sandbox.faults.add(
        Fault(
            service="studio",
            operation="ListImportJobs",
            action=Action.STATUS,
            status=500,
            nth=2,
            times="always",
        )
    )
    with pytest.raises(AmbiguousAnswer, match="cannot be known now") as caught:
        submit(box_api, request_for(sandbox.bucket), clock=clock)
    assert "same command again" in caught.value.hint
    assert len(sandbox.studio.jobs()) == 1
    sandbox.faults.clear()
    done = submit(box_api, request_for(sandbox.bucket), clock=clock)
    assert done.how is How.JOINED
    assert len(sandbox.studio.jobs()) == 1


def test_nothing_is_sent_before_the_list_was_read(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    sandbox.faults.add(
        Fault(
            service="studio",
            operation="ListImportJobs",
            action=Action.CUT,
            at="before",
            times="always",
        )
    )
    with pytest.raises(ServiceUnavailable):
        submit(box_api, request_for(sandbox.bucket), clock=clock)
    assert sandbox.studio.jobs() == ()


def test_a_refusal_is_final(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    request = ImportRequest("gpt-2", "", WeightType.LORA, sandbox.bucket, "m/")
    with pytest.raises(ImportFailed, match="NotFound"):
        submit(box_api, request, clock=clock)
    wrong = StudioClient(sandbox.studio_url, "sk-wrong", clock=clock)
    with wrong, pytest.raises(AccessDenied):
        submit(ImportApi(wrong), request_for(sandbox.bucket), clock=clock)
    assert sandbox.studio.jobs() == ()
    assert clock.slept == []


class Journal:
    """A service whose list is given and whose Create can take time to show."""

    def __init__(self, *jobs: dict[str, Any], hidden_for: int = 0) -> None:
        self.jobs = list(jobs)
        self.hidden_for = hidden_for
        self.created = 0

    def __call__(self, request: Request) -> Response:
        if request.method == "POST":
            self.created += 1
            self.jobs.append(entry(f"new-{self.created}", "PENDING"))
            return Response("<html>", 502)
        shown = list(self.jobs)
        if self.created and self.hidden_for > 0:
            self.hidden_for -= 1
            shown = shown[: -self.created]
        output = {"total": len(shown), "page_size": 100, "list": shown}
        return Response(json.dumps({"output": output}))


def entry(
    job_id: str,
    status: str,
    *,
    day: int = 1,
    name: str = "qwen3-8b-offline-20260101-abcd",
    key: str = "m/a/",
) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "status": status,
        "model_name": name,
        "storage_info": {"bucket_name": "bucket", "object_key": key},
        "gmt_create": f"2026-01-{day:02}T00:00:00.000+00:00",
    }


def run(
    httpserver: HTTPServer,
    journal: Journal,
    *,
    again: bool = False,
    base: str = "qwen3-8b",
) -> tuple[How, str]:
    httpserver.expect_request(PATH).respond_with_handler(journal)
    clock = ManualClock()
    with StudioClient(httpserver.url_for("/api/v1"), "sk-x", clock=clock) as client:
        request = replace(request_for("bucket"), model_name=base)
        done = submit(ImportApi(client), request, clock=clock, again=again)
    return done.how, done.job.job_id


def test_a_succeeded_job_of_the_place_is_enough(httpserver: HTTPServer) -> None:
    for status in ["SUCCESSED", "SUCCEEDED"]:
        journal = Journal(
            entry("old", status, day=1),
            entry("new", status, day=3),
            entry("failed", "FAILED", day=4),
        )
        assert run(httpserver, journal) == (How.ALREADY_DONE, "new")
        assert journal.created == 0
        httpserver.clear()


def test_a_succeeded_job_is_passed_over_when_asked(httpserver: HTTPServer) -> None:
    journal = Journal(entry("old", "SUCCESSED"))
    found = run(httpserver, journal, again=True)
    assert found == (How.FOUND_AFTER_LOST_ANSWER, "new-1")


def test_a_running_job_comes_before_a_succeeded_one(httpserver: HTTPServer) -> None:
    journal = Journal(entry("done", "SUCCESSED", day=5), entry("run", "RUNNING"))
    assert run(httpserver, journal) == (How.JOINED, "run")


def test_only_a_job_that_may_go_on_stands_in_the_way(httpserver: HTTPServer) -> None:
    for status, age, again, created in [
        ("PENDING", timedelta(days=9), False, 0),
        ("CANCELLING", timedelta(days=9), True, 0),
        ("VALIDATED", timedelta(minutes=5), False, 0),
        ("VALIDATED", timedelta(minutes=5), True, 1),
        ("VALIDATED", UNKNOWN_LASTS + timedelta(minutes=5), False, 1),
        ("", UNKNOWN_LASTS + timedelta(minutes=5), False, 1),
        ("CANCELED", timedelta(0), False, 1),
        ("STOPPED", timedelta(0), False, 1),
        ("expired", timedelta(0), False, 1),
    ]:
        made = (datetime.now(timezone.utc) - age).isoformat()
        journal = Journal({**entry("odd", status), "gmt_create": made})
        run(httpserver, journal, again=again)
        assert journal.created == created
        httpserver.clear()


@pytest.mark.parametrize(
    ("date", "how"),
    [
        ("Tue, 01 Jan 2030 00:10:00 GMT", How.JOINED),
        ("Wed, 02 Jan 2030 00:10:00 GMT", How.CREATED),
    ],
)
def test_the_service_s_clock_tells_how_old_a_job_is(date: str, how: How) -> None:
    """This machine's own may be hours off."""
    job = {**entry("odd", "VALIDATED"), "gmt_create": "2030-01-01T00:00:00"}
    form = {"output": {"total": 1, "page_size": 100, "list": [job]}}
    listed = http(json.dumps(form).encode())
    dated = listed.replace(b"\r\n\r\n", f"\r\nDate: {date}\r\n\r\n".encode(), 1)
    with (
        raw_server([dated, http(OK)]) as server,
        StudioClient(server.url, "sk-x") as client,
    ):
        found = submit(ImportApi(client), request_for("bucket"), clock=ManualClock())
    assert found.how is how


def test_the_longest_known_code_decides_whose_job_it_is(httpserver: HTTPServer) -> None:
    for base, name, joined in [
        ("qwen3-4b", "qwen3-4b-instruct-2507-offline-20260101-abcd", False),
        ("qwen3-4b", "qwen3-4b-offline-20260101-abcd", True),
        ("qwen3-4b-instruct-2507", "qwen3-4b-instruct-2507-offline-2-a", True),
        ("qwen3-4b-instruct-2507", "Qwen3-4B-Instruct-2507", True),
        ("qwen3-4b-instruct-2507", "qwen3-4b-offline-20260101-abcd", False),
        ("qwen3-4b", "qwen3-4bx-offline-20260101-abcd", False),
        ("qwen3-4b", "", True),
    ]:
        journal = Journal(entry("old", "SUCCESSED", name=name))
        how, _ = run(httpserver, journal, base=base)
        assert how is (How.ALREADY_DONE if joined else How.FOUND_AFTER_LOST_ANSWER)
        httpserver.clear()


def test_other_jobs_stand_in_no_way(httpserver: HTTPServer) -> None:
    for other in [
        entry("x", "RUNNING", name="qwen3-32b-offline-20260101-abcd"),
        entry("x", "SUCCESSED", key="m/"),
        entry("x", "RUNNING", key="m/a/b/"),
        entry("x", "FAILED"),
    ]:
        journal = Journal(other)
        assert run(httpserver, journal) == (How.FOUND_AFTER_LOST_ANSWER, "new-1")
        assert journal.created == 1
        httpserver.clear()


@pytest.mark.parametrize("hidden_for", [1, 2])
def test_a_job_that_is_listed_late_is_not_made_twice(
    httpserver: HTTPServer, hidden_for: int
) -> None:
    journal = Journal(hidden_for=hidden_for)
    assert run(httpserver, journal) == (How.FOUND_AFTER_LOST_ANSWER, "new-1")
    assert journal.created == 1


CREATED = datetime(2026, 11, 23, 12, 0, 0, 500_000, tzinfo=timezone.utc)


def test_a_job_older_than_the_objects_imported_others() -> None:
    """Each time is by its own service's clock; both are compared first."""
    for written, oss, studio, outdated in [
        (-3600, 0.0, 0.0, False),
        (2, 0.0, 0.0, False),
        (4, 0.0, 0.0, True),
        (3600, 3600.0, 0.0, False),
        (3604, 3600.0, 0.0, True),
        (-3596, 0.0, 3600.0, True),
        (30, 30.0, 0.5, False),
        (50, None, 0.0, False),
        (70, 0.0, None, True),
    ]:
        job = ImportJob("j-1", status="SUCCESSED", created=CREATED)
        changed_at = CREATED + timedelta(seconds=written)
        contents = Contents(changed_at, oss_ahead=oss)
        assert contents.outdate(job, studio) is outdated


def test_what_is_not_known_outdates_nothing() -> None:
    job = ImportJob("j-1", created=CREATED)
    assert not Contents().outdate(job)
    assert not Contents(changed_at=CREATED).outdate(ImportJob("j-2"))
    assert Contents(voided=frozenset({"j-1"})).outdate(job)


@pytest.mark.parametrize("done", [False, True])
def test_a_voided_job_is_neither_joined_nor_taken_for_done(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock, *, done: bool
) -> None:
    request = request_for(sandbox.bucket)
    old = submit(box_api, request, clock=clock).job
    if done:
        (job,) = sandbox.studio.jobs()
        sandbox.studio._keep(replace(job, status=Status.SUCCEEDED))
    contents = Contents(voided=frozenset({old.job_id}))
    new = submit(box_api, request, clock=clock, contents=contents)
    assert new.how is How.CREATED
    assert new.job.job_id != old.job_id


def test_an_outdated_job_that_still_runs_is_joined(
    sandbox: Sandbox, box_api: ImportApi, clock: ManualClock
) -> None:
    """Another machine's run made it while this one sent the same bytes."""
    request = request_for(sandbox.bucket)
    first = submit(box_api, request, clock=clock).job
    later = Contents(changed_at=datetime(2090, 1, 1, tzinfo=timezone.utc))
    second = submit(box_api, request, clock=clock, contents=later)
    assert (second.how, second.job.job_id) == (How.JOINED, first.job_id)
