"""The import API as its documentation has it, spoken with plain requests."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from preflight.sandbox.faults import Action, Fault
from tests.contract import pages
from tests.contract.service import Service

_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00")
_STATES = {"PENDING", "RUNNING", "SUCCESSED", "FAILED"}
_JOB = {
    "job_id",
    "model_name",
    "display_name",
    "source",
    "storage_info",
    "status",
    "gmt_create",
}
_NO_JOB = "/00000000-0000-4000-8000-000000000000"
JOB_MINUTES = 20


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that the documentation refuses.

    `changes` are made to a good create call (None takes a field away); `risky` ones
    could begin a job at a service that is laxer than its documentation.
    """

    name: str
    page: str
    method: str
    status: int
    code: str
    tail: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    api_key: str | None = None
    risky: bool = False


def _create(name: str, *, risky: bool = False, **changes: object) -> Refusal:
    code = "InvalidParameter"
    return Refusal(
        name, pages.CREATE_JOB, "POST", 400, code, changes=changes, risky=risky
    )


def _list(name: str, **params: str) -> Refusal:
    code = "InvalidParameter"
    return Refusal(name, pages.LIST_JOBS, "GET", 400, code, params=params)


REFUSALS = (
    _create("no base model", model_name=None),
    _create("no source", source=None),
    _create("another source", source="s3"),
    _create("no kind of weights", weight_type=None),
    _create("another kind of weights", weight_type="qlora"),
    _create("no storage", storage_info=None),
    _create("no bucket", storage_info={"object_key": "runs/one/"}),
    _create("no prefix", storage_info={"bucket_name": "some-bucket"}),
    _create("a long display name", display_name="x" * 51, risky=True),
    _create(
        "a prefix without a slash at its end",
        storage_info={"bucket_name": "some-bucket", "object_key": "runs/one"},
        risky=True,
    ),
    _create(
        "the bucket's root",
        storage_info={"bucket_name": "some-bucket", "object_key": "/"},
        risky=True,
    ),
    Refusal(
        "a base model that cannot be imported onto",
        pages.CREATE_JOB,
        "POST",
        404,
        "NotFound",
        changes={"model_name": "no-such-model"},
    ),
    _list("page 0", page_no="0"),
    _list("a page that is no number", page_no="one"),
    _list("pages of 101", page_size="101"),
    _list("pages of 0", page_size="0"),
    _list("a state that there is not", status="DONE"),
    Refusal("an unknown job", pages.GET_JOB, "GET", 404, "NotFound", _NO_JOB),
    Refusal("nothing to delete", pages.DELETE_JOB, "DELETE", 404, "NotFound", _NO_JOB),
    *(
        Refusal(
            f"{method} with {about}",
            pages.STATUS_CODES,
            method,
            401,
            "InvalidApiKey",
            api_key=key,
        )
        for method in ("GET", "POST")
        for about, key in (("no key", ""), ("a wrong key", "sk-" + "0" * 32))
    ),
)


def body(service: Service, changes: dict[str, Any]) -> dict[str, Any]:
    """A create call for an empty prefix, with changes."""
    place = {"bucket_name": service.bucket, "object_key": f"{service.prefix}nothing/"}
    good = {
        "model_name": "qwen3-8b",
        "display_name": "contract",
        "source": "oss",
        "weight_type": "lora",
        "storage_info": place,
    }
    whole = {**good, **changes}
    return {name: value for name, value in whole.items() if value is not None}


def assert_refused(answer: requests.Response, status: int, code: str) -> None:
    """An error as the API writes it: three fields, all told."""
    assert answer.status_code == status, answer.text
    told = answer.json()
    assert {"request_id", "code", "message"} <= set(told)
    assert told["code"] == code
    assert told["message"]
    assert told["request_id"]


def test_refusals(service: Service) -> None:
    """Those that could begin a job need PREFLIGHT_LIVE_IMPORT=1 where it is real."""
    for one in REFUSALS:
        if one.risky and not service.may_import:
            continue
        answer = service.imports(
            one.method,
            one.tail,
            api_key=one.api_key,
            params=one.params,
            json=body(service, one.changes) if one.method == "POST" else None,
        )
        assert (one.name, answer.status_code) == (one.name, one.status)
        assert_refused(answer, one.status, one.code)


@pytest.fixture
def job(service: Service) -> Iterator[dict[str, Any]]:
    """A job that has nothing to import; it is deleted at the end."""
    if not service.may_import:
        pytest.skip("begins a job; PREFLIGHT_LIVE_IMPORT=1 allows it")
    prefix = f"{service.prefix}{uuid.uuid4()}/"
    service.send("PUT", f"{prefix}README.md", body=b"nothing to import\n")
    place = {"bucket_name": service.bucket, "object_key": prefix}
    answer = service.imports("POST", json=body(service, {"storage_info": place}))
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()["output"]
    yield made
    if service.imports("GET", f"/{made['job_id']}").status_code == 200:
        wait(service, made["job_id"])
        service.imports("DELETE", f"/{made['job_id']}")


def get(service: Service, job_id: str) -> dict[str, Any]:
    answer = service.imports("GET", f"/{job_id}")
    assert answer.status_code == 200, answer.text
    output: dict[str, Any] = answer.json()["output"]
    return output


def wait(service: Service, job_id: str) -> list[dict[str, Any]]:
    """All answers up to the final one."""
    seen = [get(service, job_id)]
    deadline = time.monotonic() + 60 * JOB_MINUTES
    while seen[-1]["status"] in ("PENDING", "RUNNING"):
        assert time.monotonic() < deadline
        time.sleep(5 if service.is_live else 0)
        seen.append(get(service, job_id))
    return seen


@pytest.mark.timeout(60 * JOB_MINUTES + 60)
def test_a_job_from_its_creation_to_its_end(
    service: Service, job: dict[str, Any]
) -> None:
    """Pages "Create an import job", "Get import job details", "Model import"."""
    assert set(job) == _JOB | {"weight_type"}
    assert job["status"] == "PENDING"
    assert (job["source"], job["weight_type"]) == ("OSS", "lora")
    assert re.fullmatch(r"qwen3-8b-offline-\d{8}-\w{4}", job["model_name"])
    assert _STAMP.fullmatch(job["gmt_create"])
    assert job["display_name"] == "contract"
    seen = wait(service, job["job_id"])
    states = [answer["status"] for answer in seen]
    assert set(states) <= _STATES
    assert states[-1] == "FAILED"
    assert seen[-1]["error_code"]
    assert all("weight_type" not in answer for answer in seen)
    same = ("job_id", "model_name", "storage_info", "gmt_create")
    assert all(answer[name] == job[name] for answer in seen for name in same)


@pytest.mark.timeout(60 * JOB_MINUTES + 60)
def test_deleting(service: Service, job: dict[str, Any]) -> None:
    """Page "Delete an import job": in a final state alone; objects stay."""
    denied = service.imports("DELETE", f"/{job['job_id']}")
    assert denied.json()["code"] == "OperationDenied"
    wait(service, job["job_id"])
    assert service.imports("DELETE", f"/{job['job_id']}").status_code == 200
    gone = service.imports("GET", f"/{job['job_id']}")
    assert_refused(gone, 404, "NotFound")
    key = f"{job['storage_info']['object_key']}README.md"
    assert service.send("HEAD", key).status_code == 200


@pytest.mark.timeout(60 * JOB_MINUTES + 60)
def test_a_job_is_found_in_the_list(service: Service, job: dict[str, Any]) -> None:
    """Page "List import jobs": filters; newest first."""
    jobs = service.imports("GET", params={"page_size": "100"}).json()["output"]["list"]
    assert job["job_id"] in [item["job_id"] for item in jobs]
    named = service.imports("GET", params={"model_name": job["model_name"]}).json()
    assert [item["job_id"] for item in named["output"]["list"]] == [job["job_id"]]
    wait(service, job["job_id"])
    failed = {"model_name": job["model_name"], "status": "FAILED"}
    assert service.imports("GET", params=failed).json()["output"]["total"] == 1
    failed["status"] = "SUCCESSED"
    assert service.imports("GET", params=failed).json()["output"]["total"] == 0


def test_the_list(service: Service) -> None:
    """Page "List import jobs": ten by default; each job without its weight type."""
    output = service.imports("GET").json()["output"]
    assert set(output) == {"total", "page_no", "page_size", "list"}
    assert (output["page_no"], output["page_size"]) == (1, 10)
    assert len(output["list"]) == min(10, output["total"])
    for item in output["list"]:
        assert set(item) - {"error_code"} == _JOB
    stamps = [item["gmt_create"] for item in output["list"]]
    assert stamps == sorted(stamps, reverse=True)


def test_pages_of_the_list(service: Service) -> None:
    """Page "List import jobs": no job twice, none left out."""
    whole = service.imports("GET", params={"page_size": "100"}).json()["output"]
    found: list[str] = []
    for number in range(1, 4):
        params = {"page_no": str(number), "page_size": "2"}
        page = service.imports("GET", params=params).json()["output"]
        assert (page["page_no"], page["page_size"]) == (number, 2)
        found += [item["job_id"] for item in page["list"]]
    assert found == [item["job_id"] for item in whole["list"]][:6]
    beyond = {"page_no": "9999", "page_size": "100"}
    assert service.imports("GET", params=beyond).json()["output"]["list"] == []


def test_pages_with_jobs_on_them(in_sandbox: Service) -> None:
    made = [
        in_sandbox.imports("POST", json=body(in_sandbox, {})).json()["output"]["job_id"]
        for _ in range(7)
    ]
    test_pages_of_the_list(in_sandbox)
    first = in_sandbox.imports("GET", params={"page_size": "7"}).json()["output"]
    assert [item["job_id"] for item in first["list"]] == made[::-1]
    for job_id in made:
        wait(in_sandbox, job_id)
        assert in_sandbox.imports("DELETE", f"/{job_id}").status_code == 200


# What any call may be answered; Model Studio API reference, "Status codes".
PLATFORM = (
    (400, "Arrearage"),
    (403, "AccessDenied"),
    (403, "Workspace.AccessDenied"),
    (403, "AccessDenied.Unpurchased"),
    (429, "Throttling"),
    (429, "Throttling.RateQuota"),
    (429, "Throttling.AllocationQuota"),
    (500, "InternalError"),
    (500, "InternalError.Timeout"),
    (500, "SystemError"),
    (500, "RequestTimeOut"),
)


def test_errors_that_only_a_plan_can_provoke(in_sandbox: Service) -> None:
    for status, code in PLATFORM:
        fault = Fault(
            service="studio",
            operation="*",
            action=Action.STATUS,
            status=status,
            code=code,
            message="as planned",
        )
        assert in_sandbox.sandbox is not None
        in_sandbox.sandbox.faults.add(fault)
        assert_refused(in_sandbox.imports("GET"), status, code)
        assert in_sandbox.imports("GET").status_code == 200


def test_the_unknown_is_refused_and_shown(in_sandbox: Service) -> None:
    for method, tail, sent in [
        ("PUT", "", {}),
        ("PATCH", _NO_JOB, {}),
        ("POST", f"{_NO_JOB}/cancel", {}),
        ("GET", "s", {}),
        ("GET", "?sort=asc", {}),
        ("GET", f"{_NO_JOB}?verbose=1", {}),
        ("POST", "?dry_run=1", {}),
        ("POST", "", {"model_revision": "main"}),
    ]:
        value = body(in_sandbox, sent) if method == "POST" else None
        answer = in_sandbox.imports(method, tail, json=value)
        assert answer.status_code == 501
        told = answer.json()
        assert set(told) == {"request_id", "code", "message"}
        assert told["code"] == "NotImplemented"
        assert told["message"].endswith(f"{method} /api/v1/custom_models/import{tail}")
        assert all(name in told["message"] for name in sent)
