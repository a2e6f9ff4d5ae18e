"""The import API's contract, spoken with plain requests over loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault
from tests.sandbox.studio import models

PREFIX = models.PREFIX
JOB_FIELDS = {
    "job_id",
    "model_name",
    "display_name",
    "source",
    "storage_info",
    "status",
    "gmt_create",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    """One sandbox for the tests that only look at refusals."""
    with Sandbox(bases=[models.tiny()]) as box:
        yield box
        box.check()


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(bases=[models.tiny()]) as made:
        yield made
        made.check()


def call(
    box: Sandbox, method: str, tail: str = "", **other: object
) -> requests.Response:
    url = f"{box.studio_url}/custom_models/import{tail}"
    options: dict[str, Any] = {**other}
    headers = {"Authorization": f"Bearer {box.api_key}"}
    options["headers"] = headers | options.get("headers", {})
    return requests.request(method, url, timeout=10, **options)


def body(
    box: Sandbox, storage: dict[str, Any] | None = None, **changes: object
) -> dict[str, Any]:
    """A good create call, changed; None takes a field away."""
    info = {"bucket_name": box.bucket, "object_key": PREFIX, **(storage or {})}
    value: dict[str, Any] = {
        "model_name": "tiny",
        "source": "oss",
        "weight_type": "lora",
        "storage_info": {k: v for k, v in info.items() if v is not None},
    }
    value.update(changes)
    return {k: v for k, v in value.items() if v is not None}


def upload(box: Sandbox, prefix: str = PREFIX) -> None:
    for name, content in models.lora(models.tiny()).items():
        box.oss.put(box.bucket, prefix + name, [content])


def create(
    box: Sandbox, storage: dict[str, Any] | None = None, **changes: object
) -> dict[str, Any]:
    answer = call(box, "POST", json=body(box, storage, **changes))
    assert answer.status_code == 200, answer.text
    output: dict[str, Any] = answer.json()["output"]
    return output


def status(box: Sandbox, job_id: str) -> str:
    answer = call(box, "GET", f"/{job_id}")
    assert answer.status_code == 200
    return str(answer.json()["output"]["status"])


def finish(box: Sandbox, job_id: str) -> str:
    for _ in range(3):
        last = status(box, job_id)
    return last


def assert_error(answer: requests.Response, code: int, name: str) -> str:
    assert answer.status_code == code
    assert answer.headers["Content-Type"] == "application/json"
    value = answer.json()
    assert set(value) == {"request_id", "code", "message"}
    assert value["code"] == name
    assert value["request_id"]
    return str(value["message"])


def test_create_answers_with_the_whole_job(box: Sandbox) -> None:
    answer = call(box, "POST", json=body(box, display_name="mine")).json()
    assert set(answer) == {"request_id", "output"}
    output = answer["output"]
    assert set(output) == JOB_FIELDS | {"weight_type"}
    assert re.fullmatch(r"tiny-offline-\d{8}-[a-z0-9]{4}", output["model_name"])
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"
    assert re.fullmatch(stamp, output["gmt_create"])
    assert output["status"] == "PENDING"
    assert output["source"] == "OSS"
    assert output["weight_type"] == "lora"
    assert output["display_name"] == "mine"
    storage = {"bucket_name": box.bucket, "object_key": PREFIX}
    assert output["storage_info"] == storage


def test_the_display_name_defaults_to_the_base_models(box: Sandbox) -> None:
    assert create(box)["display_name"] == "tiny"
    assert create(box, display_name="x" * 50)["display_name"] == "x" * 50


def test_a_poller_sees_every_state(box: Sandbox) -> None:
    upload(box)
    job_id = create(box)["job_id"]
    seen = [status(box, job_id) for _ in range(4)]
    assert seen == ["PENDING", "RUNNING", "SUCCESSED", "SUCCESSED"]


def test_the_success_may_be_spelt_otherwise(box: Sandbox) -> None:
    box.studio.policy.success_spelling = "SUCCEEDED"
    upload(box)
    assert finish(box, create(box)["job_id"]) == "SUCCEEDED"
    listed = call(box, "GET", params={"status": "SUCCESSED"}).json()["output"]
    assert [job["status"] for job in listed["list"]] == ["SUCCEEDED"]


def test_a_failed_job_has_an_error_code(box: Sandbox) -> None:
    upload(box)
    box.oss.delete(box.bucket, PREFIX + "adapter_config.json")
    job_id = create(box)["job_id"]
    assert finish(box, job_id) == "FAILED"
    output = call(box, "GET", f"/{job_id}").json()["output"]
    assert set(output) == JOB_FIELDS | {"error_code"}
    assert output["error_code"] == "AvailableModelFileNotFound"
    assert box.studio.reasons[job_id] == "missing: adapter_config.json"


def test_chinese_sentences_arrive_as_utf8(box: Sandbox) -> None:
    box.studio.policy.language = type(box.studio.policy.language)("zh")
    job_id = create(box)["job_id"]
    finish(box, job_id)
    output = call(box, "GET", f"/{job_id}").json()["output"]
    assert output["error_code"].startswith("OSS获取文件失败")


def test_a_wrong_field_is_an_invalid_parameter(shared: Sandbox) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"model_name": None}, "model_name"),
        ({"model_name": 3}, "model_name"),
        ({"source": None}, "source"),
        ({"source": "OSS"}, "source"),
        ({"weight_type": None}, "weight_type"),
        ({"weight_type": "qlora"}, "weight_type"),
        ({"display_name": "x" * 51}, "display_name"),
        ({"display_name": 5}, "display_name"),
        ({"storage_info": None}, "storage_info"),
        ({"storage_info": "oss://a/b/"}, "storage_info"),
        ({"storage": {"bucket_name": None}}, "bucket_name"),
        ({"storage": {"object_key": None}}, "object_key"),
        ({"storage": {"object_key": "runs/one"}}, "object_key"),
        ({"storage": {"object_key": "/"}}, "root"),
    ]
    for changes, word in cases:
        answer = call(shared, "POST", json=body(shared, **changes))
        assert word in assert_error(answer, 400, "InvalidParameter")


def test_a_body_that_is_no_json_object(shared: Sandbox) -> None:
    for raw in [b"", b"{", b"[]", b"\xff"]:
        kind = {"Content-Type": "application/json"}
        answer = call(shared, "POST", data=raw, headers=kind)
        assert_error(answer, 400, "InvalidParameter")


def test_the_content_type_is_required(shared: Sandbox) -> None:
    answer = call(shared, "POST", data=json.dumps(body(shared)))
    assert "Content-Type" in assert_error(answer, 400, "InvalidParameter")


def test_a_key_that_is_not_this_regions(shared: Sandbox) -> None:
    for authorization in [
        "",
        "Bearer",
        "Bearer sk-other-region",
        "Basic abc",
        "sk-abc",
    ]:
        for method in ["GET", "POST"]:
            headers = {"Authorization": authorization} if authorization else {}
            url = f"{shared.studio_url}/custom_models/import"
            answer = requests.request(method, url, headers=headers, timeout=10)
            assert_error(answer, 401, "InvalidApiKey")


def test_not_found(shared: Sandbox) -> None:
    assert_error(call(shared, "GET", "/no-such-job"), 404, "NotFound")
    assert_error(call(shared, "DELETE", "/no-such-job"), 404, "NotFound")
    other = call(shared, "POST", json=body(shared, model_name="llama-3-8b"))
    assert "llama-3-8b" in assert_error(other, 404, "NotFound")


def test_the_unknown_is_refused_loudly(shared: Sandbox) -> None:
    for method, tail in [
        ("PUT", ""),
        ("POST", "/some-job"),
        ("GET", "/some-job?verbose=1"),
        ("GET", "?page=2"),
        ("GET", "/some-job/files"),
        ("GET", "s"),
    ]:
        answer = call(shared, method, tail)
        assert answer.status_code == 501
        assert f"{method} /api/v1/custom_models/import{tail}" in answer.text


def test_an_unknown_field_is_refused_loudly(shared: Sandbox) -> None:
    answer = call(shared, "POST", json=body(shared, model="tiny"))
    assert answer.status_code == 501
    assert "model" in answer.text


def test_pages(box: Sandbox) -> None:
    made = [create(box)["job_id"] for _ in range(12)]
    first = call(box, "GET").json()["output"]
    assert set(first) == {"total", "page_no", "page_size", "list"}
    assert (first["total"], first["page_no"], first["page_size"]) == (12, 1, 10)
    assert [job["job_id"] for job in first["list"]] == made[:1:-1]
    second = call(box, "GET", params={"page_no": 2, "page_size": 10}).json()["output"]
    assert [job["job_id"] for job in second["list"]] == made[1::-1]
    assert call(box, "GET", params={"page_no": 9}).json()["output"]["list"] == []
    assert all(set(job) == JOB_FIELDS for job in first["list"])


def test_a_wrong_query_is_an_invalid_parameter(shared: Sandbox) -> None:
    for params in [
        {"page_no": "0"},
        {"page_no": "one"},
        {"page_size": "0"},
        {"page_size": "101"},
        {"page_size": "-5"},
        {"status": "SUCCEEDED"},
        {"status": "pending"},
    ]:
        answer = call(shared, "GET", params=params)
        assert next(iter(params)) in assert_error(answer, 400, "InvalidParameter")


def test_filters(box: Sandbox) -> None:
    upload(box)
    good, bad = create(box), create(box, storage={"object_key": "nothing/"})
    finish(box, good["job_id"])
    finish(box, bad["job_id"])
    pending = create(box)

    def listed(**params: str) -> list[str]:
        answer = call(box, "GET", params={"page_size": "100", **params})
        return [job["job_id"] for job in answer.json()["output"]["list"]]

    assert listed(status="SUCCESSED") == [good["job_id"]]
    assert listed(status="FAILED") == [bad["job_id"]]
    assert listed(model_name=pending["model_name"]) == [pending["job_id"]]
    assert listed(model_name=pending["model_name"][:-1]) == []
    assert listed(model_name=good["model_name"], status="FAILED") == []


def test_a_poller_that_filters_gets_there_too(box: Sandbox) -> None:
    upload(box)
    create(box)
    params = {"status": "SUCCESSED"}
    totals = [call(box, "GET", params=params).json()["output"]["total"] for _ in "abc"]
    assert totals == [0, 0, 1]


def test_delete_waits_for_the_end_and_leaves_the_objects(box: Sandbox) -> None:
    upload(box)
    job_id = create(box)["job_id"]
    for _ in range(2):  # PENDING, then RUNNING
        assert_error(call(box, "DELETE", f"/{job_id}"), 403, "OperationDenied")
        status(box, job_id)
    assert status(box, job_id) == "SUCCESSED"
    answer = call(box, "DELETE", f"/{job_id}")
    assert answer.status_code == 200
    assert answer.json()["output"]["job_id"] == job_id
    assert "weight_type" not in answer.json()["output"]
    assert_error(call(box, "GET", f"/{job_id}"), 404, "NotFound")
    assert call(box, "GET").json()["output"]["total"] == 0
    assert len(box.oss.objects(box.bucket, PREFIX)) == 2


def test_faults_hit_their_operation_once(shared: Sandbox) -> None:
    for operation, method, tail in [
        ("CreateImportJob", "POST", ""),
        ("ListImportJobs", "GET", ""),
        ("GetImportJob", "GET", "/x"),
        ("DeleteImportJob", "DELETE", "/x"),
    ]:
        shared.faults.add(
            Fault(
                service="studio",
                operation=operation,
                action=Action.STATUS,
                status=429,
                code="Throttling.RateQuota",
                message="Requests rate limit exceeded.",
            )
        )
        for other, path in (("POST", ""), ("GET", ""), ("GET", "/x"), ("DELETE", "/x")):
            answer = call(shared, other, path)
            hit = (other, path) == (method, tail)
            assert (answer.status_code == 429) is hit
            if hit:
                assert_error(answer, 429, "Throttling.RateQuota")
        assert call(shared, method, tail).status_code != 429


def test_a_lost_answer_leaves_a_job_behind(box: Sandbox) -> None:
    box.faults.add(
        Fault(
            service="studio", operation="CreateImportJob", action=Action.CUT, at="after"
        )
    )
    with pytest.raises(requests.ConnectionError):
        call(box, "POST", json=body(box))
    listed = call(box, "GET").json()["output"]["list"]
    assert [job["storage_info"]["object_key"] for job in listed] == [PREFIX]


def test_a_key_can_expire(box: Sandbox) -> None:
    assert call(box, "GET").status_code == 200
    box.faults.add(Fault(service="studio", operation="*", action=Action.EXPIRE_TOKEN))
    assert_error(call(box, "GET"), 401, "InvalidApiKey")
    assert_error(call(box, "GET"), 401, "InvalidApiKey")
