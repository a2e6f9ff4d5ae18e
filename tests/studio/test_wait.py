from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest

from preflight.catalog.explanations import (
    Service,
    explain_code,
    load_explanations,
)
from preflight.errors import (
    AccessDenied,
    ImportFailed,
    ServiceUnavailable,
    StillRunning,
)
from preflight.findings import WeightType
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault
from preflight.studio import (
    ImportApi,
    ImportJob,
    ImportRequest,
    StudioClient,
    require_success,
    wait,
)
from preflight.studio.models import NotFound, StudioUnavailable
from preflight.studio.wait import looks_within, shortest_pause
from tests.manual_clock import ManualClock

TROUBLE: list[dict[str, object]] = [
    {"action": "status", "status": 500, "code": "InternalError"},
    {"action": "cut", "at": "before"},
    {"action": "status", "status": 429, "code": "Throttling"},
    {"action": "captive_portal"},
    {"action": "truncate"},
    {"action": "cut", "at": "after"},
]


class Script:
    """Gives the statuses in turn, the last for ever; an error is raised."""

    def __init__(self, *steps: str | Exception) -> None:
        self.steps = steps
        self.looks = 0

    def __call__(self) -> ImportJob:
        step = self.steps[min(self.looks, len(self.steps) - 1)]
        self.looks += 1
        if isinstance(step, Exception):
            raise step
        return ImportJob("j-1", status=step, request_id="r-1")


def test_waiting_ends_with_the_final_state_and_tells_each_new_one() -> None:
    told: list[str] = []
    script = Script("PENDING", "PENDING", "RUNNING", "RUNNING", "SUCCESSED")
    clock = ManualClock()
    job = wait(
        script,
        limit=math.inf,
        clock=clock,
        on_state=lambda job: told.append(job.status),
    )
    assert job.succeeded
    assert told == ["PENDING", "RUNNING", "SUCCESSED"]
    assert len(clock.slept) == 4


def test_pauses_grow_from_3_to_30_seconds() -> None:
    clock = ManualClock()
    with pytest.raises(StillRunning):
        wait(Script("RUNNING"), limit=36_000, clock=clock)
    pauses = clock.slept[:-1]
    assert pauses[0] == 3
    assert all(3 <= pause <= 30 for pause in pauses)
    assert max(pauses) > 20
    assert len(set(pauses)) > len(pauses) / 2  # jittered


def test_a_fixed_interval_is_kept() -> None:
    clock = ManualClock()
    wait(Script("RUNNING", "RUNNING", "FAILED"), limit=99, clock=clock, interval=7)
    assert clock.slept == [7, 7]


def test_the_limit_is_kept_to_the_second_and_ends_with_a_look() -> None:
    clock, script = ManualClock(), Script("RUNNING")
    with pytest.raises(StillRunning) as caught:
        wait(script, limit=100, clock=clock, interval=30)
    assert sum(clock.slept) == 100
    assert script.looks == 5
    assert caught.value.exit_code == 8
    assert caught.value.message == "job j-1 is running after 100 s"
    assert caught.value.hint == "preflight wait j-1"


def test_no_limit_left_means_one_look() -> None:
    clock, script = ManualClock(), Script("RUNNING")
    with pytest.raises(StillRunning):
        wait(script, limit=0, clock=clock)
    assert (script.looks, clock.slept) == (1, [])


def test_an_unknown_state_is_no_success() -> None:
    with pytest.raises(StillRunning, match="is validated"):
        wait(Script("VALIDATED"), limit=60, clock=ManualClock())
    for status in ("CANCELED", "STOPPED", "EXPIRED"):
        assert wait(Script(status), limit=60, clock=ManualClock()).failed


def test_a_job_that_was_just_made_may_be_unknown_for_a_while() -> None:
    missing = [NotFound("no such job")] * 3
    clock = ManualClock()
    script = Script(*missing, ServiceUnavailable("down"), "RUNNING", "SUCCESSED")
    job = wait(script, limit=900, clock=clock, listed_within=60)
    assert job.succeeded
    for steps, within in ((missing, 0), ([NotFound("no such job")], 60)):
        clock, script = ManualClock(), Script(*steps)
        with pytest.raises(NotFound):
            wait(script, limit=900, clock=clock, listed_within=within)
        assert sum(clock.slept) == pytest.approx(within)
    gone = Script("RUNNING", NotFound("deleted meanwhile"))
    with pytest.raises(NotFound):
        wait(gone, limit=900, clock=ManualClock(), listed_within=60)
    assert gone.looks == 2


def test_many_failed_looks_do_not_end_the_wait() -> None:
    trouble = [ServiceUnavailable(f"look {n}") for n in range(50)]
    job = wait(
        Script("RUNNING", *trouble, "SUCCEEDED"), limit=10_000, clock=ManualClock()
    )
    assert job.succeeded


def test_a_job_that_was_never_seen_is_named() -> None:
    script = Script(ServiceUnavailable("no route"))
    with pytest.raises(StillRunning, match=r"no status.*no route") as caught:
        wait(script, limit=60, clock=ManualClock(), job_id="j-9")
    assert caught.value.hint == "preflight wait j-9"
    assert isinstance(caught.value.__cause__, ServiceUnavailable)


def test_a_refusal_ends_the_wait_at_once() -> None:
    for error in [AccessDenied("key gone"), ImportFailed("NotFound")]:
        script = Script("RUNNING", error)
        with pytest.raises(type(error)):
            wait(script, limit=math.inf, clock=ManualClock())
        assert script.looks == 2


def test_a_failed_job_is_returned_and_then_refused_with_its_meaning() -> None:
    job = wait(Script("FAILED"), limit=9, clock=ManualClock())
    assert job.failed
    failed = ImportJob(
        "j-1", status="FAILED", error_code="AvailableModelFileNotFound", request_id="r"
    )
    words = r"^job j-1 failed: AvailableModelFileNotFound \("
    with pytest.raises(ImportFailed, match=words) as caught:
        require_success(failed)
    assert "preflight check" in caught.value.hint
    assert caught.value.request_id == "r"
    assert caught.value.exit_code == 6


def test_only_success_is_success() -> None:
    for status in ["FAILED", "RUNNING", "", "EXPIRED"]:
        with pytest.raises(ImportFailed, match="no reason given"):
            require_success(ImportJob("j-1", status=status))
        done = ImportJob("j-1", status="SUCCESSED")
        assert require_success(done) is done


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[ImportApi]:
    client = StudioClient(sandbox.studio_url, sandbox.api_key, clock=ManualClock())
    with client:
        yield ImportApi(client)


def test_waiting_over_http_survives_what_the_network_does(
    sandbox: Sandbox, api: ImportApi
) -> None:
    request = ImportRequest("qwen3-8b", "", WeightType.LORA, sandbox.bucket, "m/")
    made = api.create(request)
    for nth, fault in enumerate(TROUBLE, start=1):
        chosen = {"service": "studio", "operation": "GetImportJob", "nth": nth}
        sandbox.faults.add(Fault.from_json(chosen | fault))
    clock = ManualClock()
    job = wait(lambda: api.get(made.job_id, attempts=1), limit=900, clock=clock)
    assert job.failed
    assert len(sandbox.faults.fired) == 6
    assert len(clock.slept) >= 6


def test_an_expired_key_ends_the_wait(sandbox: Sandbox, api: ImportApi) -> None:
    sandbox.studio.policy.job_seconds = 3600
    request = ImportRequest("qwen3-8b", "", WeightType.LORA, sandbox.bucket, "m/")
    made = api.create(request)
    sandbox.faults.add(
        Fault(
            service="studio",
            operation="GetImportJob",
            action=Action.EXPIRE_TOKEN,
            nth=3,
        )
    )
    clock = ManualClock()
    with pytest.raises(AccessDenied, match="InvalidApiKey"):
        wait(lambda: api.get(made.job_id), limit=900, clock=clock)
    assert len(clock.slept) == 2


def test_a_state_that_lasts_is_told_again_now_and_then() -> None:
    told: list[float] = []
    clock = ManualClock()
    script = Script(*["RUNNING"] * 20, "SUCCESSED")
    wait(
        script,
        limit=math.inf,
        clock=clock,
        interval=10,
        on_state=lambda _: told.append(clock.now() - 1000),
        heartbeat=60,
    )
    assert told == [0, 60, 120, 180, 200]


def test_a_service_that_asks_for_patience_gets_it() -> None:
    clock = ManualClock()
    busy = StudioUnavailable("busy", wait=45)
    wait(Script(busy, "SUCCESSED"), limit=math.inf, clock=clock, interval=1)
    assert clock.slept == [45]
    clock = ManualClock()
    endless = StudioUnavailable("busy", wait=1e9)
    wait(Script(endless, "SUCCESSED"), limit=math.inf, clock=clock, interval=1)
    assert clock.slept == [120]


SAID = [
    (row, text)
    for row in load_explanations()
    if row.service is not Service.OSS
    for text in (*row.codes, *row.sentences)
]


def test_every_reason_of_a_failed_job_has_cause_and_remedy() -> None:
    for row, text in SAID:
        job = ImportJob("j-1", status="FAILED", error_code=text, request_id="r-1")
        with pytest.raises(ImportFailed) as caught:
            require_success(job)
        told = caught.value
        assert text in told.message
        # A failed job says some codes of the platform in a sense of its own.
        own = explain_code(Service.JOB, text)
        assert own is not None
        assert row.service is not Service.JOB or own == row
        assert own.cause in told.message
        assert told.hint == own.remedy
        assert told.request_id == "r-1"


def test_a_service_on_this_machine_is_looked_at_soon_and_then_ever_more_rarely() -> (
    None
):
    def pauses(url: str) -> list[float]:
        with StudioClient(url, "sk-none") as client:
            shortest = shortest_pause(ImportApi(client))
        looks = looks_within(3600, ManualClock(), None, shortest)
        looks = replace(looks, jitter=lambda: 1.0)
        return [looks.pause(number, 0.0) or 0.0 for number in range(1, 10)]

    assert pauses("http://127.0.0.1:8080/api/v1")[:4] == [0.2, 0.4, 0.8, 1.6]
    assert pauses("http://127.0.0.1:8080/api/v1")[-1] == 30
    assert pauses("https://dashscope-intl.aliyuncs.com/api/v1")[:3] == [3, 6, 12]
