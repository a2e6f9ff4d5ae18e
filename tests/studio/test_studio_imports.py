from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from preflight.errors import (
    AmbiguousAnswer,
    ImportFailed,
    ServiceUnavailable,
    UsageError,
)
from preflight.findings import WeightType
from preflight.retry import Retry
from preflight.sandbox import Sandbox
from preflight.studio import (
    ImportApi,
    ImportJob,
    ImportRequest,
    StudioClient,
    imports,
)
from preflight.studio.named import whole_id

PATH = "/api/v1/custom_models/import"


@pytest.fixture
def api(httpserver: HTTPServer) -> Iterator[ImportApi]:
    url = httpserver.url_for("/api/v1")
    with StudioClient(url, "sk-key", retry=Retry(attempts=1)) as client:
        yield ImportApi(client)


@pytest.fixture
def box_api(sandbox: Sandbox) -> Iterator[ImportApi]:
    with StudioClient(sandbox.studio_url, sandbox.api_key) as client:
        yield ImportApi(client)


def request_for(bucket: str, prefix: str = "models/a/") -> ImportRequest:
    return ImportRequest("qwen3-8b", "mine", WeightType.LORA, bucket, prefix)


def entry(number: int, **more: object) -> dict[str, Any]:
    return {"job_id": f"j-{number}", "status": "PENDING", **more}


def test_a_job_from_create_over_get_and_list_to_delete(
    sandbox: Sandbox, box_api: ImportApi
) -> None:
    sandbox.studio.policy.job_seconds = 3600
    made = box_api.create(request_for(sandbox.bucket))
    assert made.status == "PENDING"
    assert made.weight_type is WeightType.LORA
    assert made.is_from(sandbox.bucket, "models/a/")
    assert made.model_name.startswith("qwen3-8b-")
    assert made.created is not None
    assert abs(made.created - datetime.now(timezone.utc)) < timedelta(minutes=5)
    assert made.request_id
    seen = box_api.get(made.job_id)
    assert seen.job_id == made.job_id
    assert seen.weight_type is None
    assert [job.job_id for job in box_api.list_all()] == [made.job_id]
    with pytest.raises(ImportFailed, match="OperationDenied"):
        box_api.delete(made.job_id)
    sandbox.studio.policy.job_seconds = 0
    while not (seen := box_api.get(made.job_id)).finished:
        pass
    assert seen.failed  # there are no files under the prefix
    assert seen.error_code
    assert box_api.delete(made.job_id)
    assert list(box_api.list_all()) == []
    with pytest.raises(ImportFailed, match="NotFound"):
        box_api.get(made.job_id)


def test_a_base_that_cannot_be_imported_onto_is_refused(
    sandbox: Sandbox, box_api: ImportApi
) -> None:
    request = ImportRequest("gpt-2", "", WeightType.LORA, sandbox.bucket, "a/")
    with pytest.raises(ImportFailed, match="NotFound") as caught:
        box_api.create(request)
    assert "preflight bases" in caught.value.hint


def test_all_jobs_are_listed_once_page_by_page(
    sandbox: Sandbox, box_api: ImportApi
) -> None:
    made = [
        box_api.create(request_for(sandbox.bucket, f"m/{n}/")).job_id
        for n in range(103)
    ]
    listed = [job.job_id for job in box_api.list_all()]
    assert sorted(listed) == sorted(made)
    page = box_api.list_page(2, 10)
    assert (len(page.jobs), page.total, page.page_size) == (10, 103, 10)


def paging(
    jobs: list[dict[str, Any]], on_page: Callable[[int], None] = lambda _: None
) -> Callable[[Request], Response]:
    def handle(request: Request) -> Response:
        number, size = int(request.args["page_no"]), int(request.args["page_size"])
        shown = jobs[(number - 1) * size : number * size]
        output = {"total": len(jobs), "page_no": number, "page_size": size}
        body = json.dumps({"output": output | {"list": shown}})
        on_page(number)
        return Response(body, content_type="application/json")

    return handle


def test_jobs_deleted_while_listing_hide_no_other(
    httpserver: HTTPServer, api: ImportApi
) -> None:
    jobs = [entry(n) for n in range(250)]
    deleted: list[int] = []

    def delete_first(number: int) -> None:
        if number == 1 and not deleted:
            deleted.extend((0, 1))
            del jobs[:2]

    httpserver.expect_request(PATH).respond_with_handler(paging(jobs, delete_first))
    listed = [job.job_id for job in api.list_all()]
    assert len(listed) == len(set(listed)) == 250


def test_jobs_created_while_listing_repeat_no_other(
    httpserver: HTTPServer, api: ImportApi
) -> None:
    jobs = [entry(n) for n in range(250)]
    httpserver.expect_request(PATH).respond_with_handler(
        paging(jobs, lambda number: jobs.insert(0, entry(1000 + number)))
    )
    listed = [job.job_id for job in api.list_all()]
    assert len(listed) == len(set(listed))
    assert {f"j-{n}" for n in range(250)} <= set(listed)


def test_a_list_without_end_is_given_up(
    httpserver: HTTPServer, api: ImportApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "MAX_PAGES", 30)
    output = {"total": 10**9, "page_size": 1, "list": [entry(1)]}
    httpserver.expect_request(PATH).respond_with_json({"output": output})
    with pytest.raises(ServiceUnavailable, match="did not end in 30 pages"):
        list(api.list_all())
    assert len(httpserver.log) == 30


def test_filters_are_sent(httpserver: HTTPServer, api: ImportApi) -> None:
    httpserver.expect_request(
        PATH,
        query_string={
            "page_no": "1",
            "page_size": "100",
            "status": "SUCCESSED",
            "model_name": "m-1",
        },
    ).respond_with_json({"output": {"total": 0}})
    assert list(api.list_all(status="SUCCESSED", model_name="m-1")) == []


def test_states() -> None:
    for status, finished, succeeded in [
        ("PENDING", False, False),
        ("RUNNING", False, False),
        ("SUCCESSED", True, True),
        ("SUCCEEDED", True, True),
        ("successed", True, True),
        ("FAILED", True, False),
        ("EXPIRED", True, False),
        ("VALIDATED", False, False),
        ("", False, False),
    ]:
        job = ImportJob("j-1", status=status)
        assert (job.finished, job.succeeded) == (finished, succeeded)


def test_times(httpserver: HTTPServer, api: ImportApi) -> None:
    for spelled, wanted in [
        ("2024-01-01T12:00:00.000+00:00", 12),
        ("2024-01-01T12:00:00.000+0000", 12),
        ("2024-01-01T12:00:00Z", 12),
        ("2024-01-01T20:00:00+08:00", 12),
        ("2024-01-01 12:00:00", 12),
        ("yesterday", None),
        (None, None),
        (17, None),
    ]:
        output = entry(1, gmt_create=spelled)
        httpserver.expect_request(f"{PATH}/j-1").respond_with_json({"output": output})
        hour = datetime(2024, 1, 1, wanted, tzinfo=timezone.utc) if wanted else None
        assert api.get("j-1").created == hour
        httpserver.clear()


def test_unknown_and_odd_fields_are_let_be(
    httpserver: HTTPServer, api: ImportApi
) -> None:
    output = entry(
        1,
        status="EXPIRED",
        weight_type="qlora",
        storage_info="gone",
        display_name="a\x1b[31m",
        error_code=None,
        new_field={"x": [1]},
    )
    httpserver.expect_request(f"{PATH}/j-1").respond_with_json({"output": output})
    job = api.get("j-1")
    assert job.status == "EXPIRED"
    assert (job.weight_type, job.bucket, job.prefix) == (None, "", "")
    assert job.display_name == "a?[31m"
    assert job.error_code == ""


def test_a_list_entry_without_id_is_left_out_and_told(
    httpserver: HTTPServer, api: ImportApi, caplog: pytest.LogCaptureFixture
) -> None:
    output = {"total": 3, "list": [{"status": "RUNNING"}, "?", entry(1)]}
    httpserver.expect_request(PATH).respond_with_json({"output": output})
    with caplog.at_level(logging.WARNING):
        assert [job.job_id for job in api.list_all()] == ["j-1"]
    assert "no id" in caplog.text
    assert "1 of 3" in caplog.text


def test_an_id_that_begins_another_one_is_itself(
    httpserver: HTTPServer, api: ImportApi
) -> None:
    output = {"total": 3, "list": [entry(1), entry(12), entry(13)]}
    httpserver.expect_request(PATH).respond_with_json({"output": output})
    for text, meant in (("j-1", "j-1"), ("j-12", "j-12"), ("k", "k")):
        assert whole_id(api, text) == meant
    with pytest.raises(UsageError, match="3 jobs begin with j"):
        whole_id(api, "j")


def test_an_answer_without_a_list_is_not_an_empty_list(
    httpserver: HTTPServer, api: ImportApi
) -> None:
    for empty in ({"list": None, "total": 0}, {"total": 0}):
        httpserver.expect_request(PATH).respond_with_json({"output": empty})
        assert list(api.list_all()) == []
        httpserver.clear()
    httpserver.expect_request(PATH).respond_with_json(
        {"output": {"total": 0, "list": [entry(1)]}}
    )
    assert [job.job_id for job in api.list_page().jobs] == ["j-1"]
    httpserver.clear()
    for output in [{}, {"list": 5}, {"list": None, "total": 4}]:
        httpserver.expect_request(PATH).respond_with_json({"output": output})
        with pytest.raises(ServiceUnavailable, match="no list of jobs"):
            list(api.list_all())
        httpserver.clear()


def test_an_answer_without_a_status_or_id(
    httpserver: HTTPServer, api: ImportApi
) -> None:
    httpserver.expect_request(f"{PATH}/j-1").respond_with_json({"output": {}})
    with pytest.raises(ServiceUnavailable, match="no job with a status"):
        api.get("j-1")
    httpserver.expect_request(PATH, method="POST").respond_with_json(
        {"request_id": "r-7", "output": {"status": "PENDING"}}
    )
    with pytest.raises(AmbiguousAnswer, match="names no job") as caught:
        api.create(request_for("bucket"))
    assert caught.value.request_id == "r-7"


def test_an_id_that_would_leave_the_endpoint_is_refused(
    httpserver: HTTPServer, api: ImportApi
) -> None:
    for job_id in ["", ".", "..", "../x", "a/b", "a?b", "a b", "ä"]:
        for verb in (api.get, api.delete):
            with pytest.raises(UsageError, match="not a job id"):
                verb(job_id)
        assert httpserver.log == []


def test_display_names_are_counted_in_characters() -> None:
    for display_name, good in [
        ("", True),
        ("x" * 50, True),
        ("名" * 50, True),
        ("x" * 51, False),
        ("名" * 51, False),
        ("two\nlines", False),
    ]:
        make = partial(ImportRequest, "qwen3-8b", display_name, WeightType.LORA, "b")
        if good:
            assert make("p/").form().get("display_name", "") == display_name
        else:
            with pytest.raises(UsageError, match="display name"):
                make("p/")


def test_a_prefix_that_cannot_be_imported_is_refused() -> None:
    for prefix in ["", "/", "//", "a", "/a/", "a//b"]:
        with pytest.raises(UsageError, match="prefix"):
            ImportRequest("qwen3-8b", "", WeightType.FULL, "b", prefix)


def test_a_request_needs_a_base_and_a_bucket() -> None:
    for model, bucket in [("", "b"), ("qwen3-8b", "")]:
        with pytest.raises(UsageError, match="needs"):
            ImportRequest(model, "", WeightType.FULL, bucket, "p/")
