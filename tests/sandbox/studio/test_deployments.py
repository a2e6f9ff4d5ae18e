"""Deployments of imported models: fields, plans, states, suffixes and refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from preflight.sandbox import Sandbox
from preflight.sandbox.studio.jobs import Job, WeightType
from tests.sandbox.studio import models


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(bases=[models.tiny()], seed_bucket=models.BUCKET) as made:
        yield made
        made.check()


@pytest.fixture
def job(box: Sandbox) -> Job:
    models.put(box.oss, models.lora(models.tiny()))
    return models.run(box.studio, models.request())


def call(
    box: Sandbox, method: str, tail: str = "", sent: object = None
) -> tuple[int, dict[str, Any]]:
    answer = requests.request(
        method,
        f"{box.studio_url}/deployments{tail}",
        headers={"Authorization": f"Bearer {box.api_key}"},
        json=sent,
        timeout=10,
    )
    value = answer.json()
    assert value["request_id"]
    return answer.status_code, value.get("output", value)


def wanted(job: Job, **changed: object) -> dict[str, object]:
    body = {"model_name": job.model_name, "plan": "lora", "capacity": 1, "name": "mine"}
    return {name: text for name, text in (body | changed).items() if text is not None}


UNITS = {"plan": "mu", "billing_method": "POST_PAY", "deploy_spec": "MU1"}


def test_from_the_call_to_the_running_model(box: Sandbox, job: Job) -> None:
    now = [1_750_000_000.0]
    box.studio.clock = lambda: now[0]
    box.studio.policy.deployment_seconds = 300
    status, made = call(box, "POST", sent=wanted(job))
    assert (status, made["status"], made["ready_capacity"]) == (200, "PENDING", 0)
    assert made["deployed_model"] == job.model_name
    assert made["gmt_create"] == "2025-06-15T15:06:40"
    assert (made["base_model"], made["plan"]) == ("tiny", "lora")
    tail = f"/{made['deployed_model']}"
    assert call(box, "GET", tail)[1]["status"] == "PENDING"
    now[0] += 299
    assert call(box, "GET", tail)[1]["status"] == "PENDING"
    now[0] += 1
    assert call(box, "GET", tail)[1]["status"] == "RUNNING"
    listed = call(box, "GET", "?page_size=200")[1]
    assert (listed["total"], listed["page_size"]) == (1, 200)
    assert listed["deployments"] == [call(box, "GET", tail)[1]]
    assert call(box, "DELETE", tail)[1]["status"] == "DELETING"
    assert call(box, "GET", tail)[0] == 404


def test_a_second_deployment_needs_a_suffix(box: Sandbox, job: Job) -> None:
    assert call(box, "POST", sent=wanted(job))[0] == 200
    status, told = call(box, "POST", sent=wanted(job))
    assert (status, told["code"]) == (409, "Conflict")
    assert "please specify a suffix" in told["message"]
    made = call(box, "POST", sent=wanted(job, suffix="b2"))[1]
    assert made["deployed_model"] == f"{job.model_name}-b2"
    for wrong in ("Upper", "toolong89", "a-b", 3):
        status, told = call(box, "POST", sent=wanted(job, suffix=wrong))
        assert (status, told["code"]) == (400, "InvalidParameter"), wrong


def test_what_is_refused(box: Sandbox, job: Job) -> None:
    box.studio.policy.base_capacity = 2
    for changed, status, code, word in (
        ({"name": None}, 400, "InvalidParameter", "name"),
        ({"model_name": None}, 400, "InvalidParameter", "model_name"),
        ({"plan": None}, 400, "InvalidParameter", "plan"),
        ({"plan": "ptu"}, 400, "InvalidParameter", "lora, mu"),
        ({"capacity": None}, 400, "InvalidParameter", "capacity"),
        ({"capacity": 0}, 400, "InvalidParameter", "capacity"),
        ({"capacity": "1"}, 400, "InvalidParameter", "capacity"),
        ({"plan": "mu", "capacity": 2}, 400, "InvalidParameter", "billing_method"),
        ({**UNITS, "deploy_spec": "X"}, 400, "InvalidParameter", "MU1"),
        ({**UNITS, "capacity": 3}, 400, "InvalidParameter", "multiple of 2"),
        ({"model_name": "other"}, 404, "NotFound", "Model: other not found!"),
        ({"ptu_capacity": {}}, 501, "NotImplemented", "ptu_capacity"),
    ):
        got, told = call(box, "POST", sent=wanted(job, **changed))
        assert (got, told["code"]) == (status, code), changed
        assert word in told["message"]
    assert call(box, "POST", sent=wanted(job, **UNITS, capacity=2))[0] == 200
    assert call(box, "GET", "/none")[1]["message"] == "Model: none not found!"
    assert call(box, "GET", "?page_size=201")[0] == 400
    assert call(box, "PUT", f"/{job.model_name}")[0] == 501


def test_a_model_whose_files_changed_is_not_deployed(box: Sandbox, job: Job) -> None:
    """As the console shows it: the model is invalid, and what changed is named."""
    listed = call(box, "GET", "/models?model_source=custom&version=v1.0")[1]
    (shown,) = listed["models"]
    assert shown["model_name"] == job.model_name
    assert shown["supported_plans"] == ["lora", "mu"]
    assert [one["plan"] for one in shown["plans"]] == ["lora", "mu"]
    box.oss.put(models.BUCKET, models.PREFIX + "adapter_config.json", [b"{}"])
    box.oss.delete(models.BUCKET, models.PREFIX + "adapter_model.safetensors")
    assert box.studio.changed_files == {
        job.id: ("adapter_config.json", "adapter_model.safetensors")
    }
    status, told = call(box, "POST", sent=wanted(job))
    assert (status, told["code"]) == (403, "OperationDenied")
    assert "adapter_config.json, adapter_model.safetensors" in told["message"]
    assert call(box, "GET", "/models?model_source=custom")[1]["total"] == 0
    assert call(box, "GET", "/models")[1]["total"] == 0


def test_full_weights_run_on_units_alone(box: Sandbox) -> None:
    models.put(box.oss, models.full(models.tiny()))
    job = models.run(box.studio, models.request(WeightType.FULL))
    assert call(box, "POST", sent=wanted(job))[0] == 400
    assert call(box, "POST", sent=wanted(job, **UNITS))[0] == 200


def test_deployments_outlive_the_process(tmp_path_factory: Any) -> None:  # noqa: ANN401
    folder = tmp_path_factory.mktemp("state")
    options: dict[str, Any] = {"directory": folder, "bases": [models.tiny()]}
    with Sandbox(**options, seed_bucket=models.BUCKET) as first:
        models.put(first.oss, models.lora(models.tiny()))
        job = models.run(first.studio, models.request())
        assert call(first, "POST", sent=wanted(job))[0] == 200
    with Sandbox(**options, seed_bucket=models.BUCKET) as again:
        assert call(again, "GET", f"/{job.model_name}")[1]["name"] == "mine"
