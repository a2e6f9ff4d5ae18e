"""Many jobs, and one loop of looks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from preflight.errors import AccessDenied, StillRunning
from preflight.findings import WeightType
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault
from preflight.studio import ImportApi, ImportJob, ImportRequest, StudioClient
from preflight.studio.models import NotFound
from preflight.studio.wait_all import End, ends
from tests.manual_clock import ManualClock


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[ImportApi]:
    with StudioClient(
        sandbox.studio_url, sandbox.api_key, clock=ManualClock()
    ) as client:
        yield ImportApi(client)


def jobs(api: ImportApi, sandbox: Sandbox, count: int) -> list[ImportJob]:
    """Jobs of prefixes that hold nothing: they fail when their time is over."""
    sandbox.studio.policy.job_seconds = 3600
    return [
        api.create(
            ImportRequest("qwen3-8b", "", WeightType.LORA, sandbox.bucket, f"m/{n}/")
        )
        for n in range(count)
    ]


def waited(api: ImportApi, made: list[ImportJob], limit: float) -> dict[str, End]:
    return dict(ends(api, made, limit=limit, clock=ManualClock(), interval=10))


@pytest.mark.parametrize(("count", "gets", "lists"), [(2, 8, 0), (9, 0, 8)])
def test_a_look_at_many_is_two_requests(
    api: ImportApi, sandbox: Sandbox, count: int, gets: int, lists: int
) -> None:
    made = jobs(api, sandbox, count)
    found = waited(api, made, 30)  # four looks
    assert set(found) == {job.job_id for job in made}
    assert all(isinstance(end, StillRunning) for end in found.values())
    calls = sandbox.studio_endpoint.log_calls
    assert (calls.count("GetImportJob"), calls.count("ListImportJobs")) == (gets, lists)


def test_each_is_told_at_its_end(api: ImportApi, sandbox: Sandbox) -> None:
    made = jobs(api, sandbox, 5)
    seen: list[str] = []
    steps = ends(
        api,
        [*made, ImportJob("00000000-0000-0000-0000-000000000000", status="PENDING")],
        limit=600,
        clock=ManualClock(),
        interval=30,
        on_look=lambda job: seen.append(job.job_id),
    )
    lost, end = next(steps)  # after a minute, in which it might have been new
    assert lost.startswith("0000")
    assert isinstance(end, NotFound)
    assert set(seen) == {job.job_id for job in made}


def test_a_look_that_fails_is_followed_by_the_next(
    api: ImportApi, sandbox: Sandbox
) -> None:
    made = jobs(api, sandbox, 5)
    sandbox.faults.add(
        Fault(
            service="studio",
            operation="ListImportJobs",
            action=Action.STATUS,
            status=429,
            code="Throttling",
            times=12,
        )
    )
    found = waited(api, made, 100)
    assert len(sandbox.faults.fired) == 12
    assert all(isinstance(end, StillRunning) for end in found.values())
    sandbox.faults.add(
        Fault(
            service="studio",
            operation="ListImportJobs",
            action=Action.STATUS,
            status=403,
            code="AccessDenied",
        )
    )
    with pytest.raises(AccessDenied):
        waited(api, made, 100)
