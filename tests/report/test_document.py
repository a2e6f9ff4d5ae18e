"""The document: the promise to programs, for every way a run can end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from preflight.findings import Outcome, Problem, Report, Result, Severity, WeightType
from preflight.record import (
    ErrorRecord,
    JobRecord,
    RunRecord,
    UploadedFile,
    UploadRecord,
)
from preflight.report.as_json import render_json
from preflight.report.document import as_document
from tests.running import assert_contract


def outcome(result: Result, severity: Severity = Severity.ERROR) -> Outcome:
    failed = result is Result.FAILED
    problems = (Problem("模型", "is wrong"),) if failed else ()
    reason = "not there" if result is Result.SKIPPED else ""
    return Outcome("X01", "a-rule", severity, result, reason, problems, len(problems))


def document(*outcomes: Outcome, **values: Any) -> dict[str, Any]:  # noqa: ANN401
    record = RunRecord("push", "out/模型", report=Report(outcomes), **values)
    made = as_document(record)
    assert_contract(made)
    assert json.loads(render_json(record)) == made
    return made


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([outcome(Result.PASSED)], "pass"),
        ([outcome(Result.PASSED), outcome(Result.SKIPPED)], "pass"),
        ([outcome(Result.FAILED, Severity.WARNING)], "warn"),
        ([outcome(Result.FAILED)], "fail"),
    ],
)
def test_the_verdict(outcomes: list[Outcome], verdict: str) -> None:
    code = 1 if verdict == "fail" else 0
    assert document(*outcomes, exit_code=code)["verdict"] == verdict


def test_a_run_that_could_not_be_judged_has_failed() -> None:
    error = ErrorRecord("no such directory", "give another", "REQ-1")
    made = document(error=error, exit_code=2)
    assert (made["verdict"], made["exit_code"]) == ("fail", 2)
    assert made["error"] == {
        "message": "no such directory",
        "hint": "give another",
        "request_id": "REQ-1",
    }
    assert (made["weight_type"], made["base_model"]) == (None, None)


def test_an_error_after_the_check_leaves_the_checks_verdict() -> None:
    made = document(outcome(Result.PASSED), error=ErrorRecord("x"), exit_code=5)
    assert made["verdict"] == "pass"


def test_a_sum_is_text_because_it_has_64_bits() -> None:
    file = UploadedFile("a/b", 2**53 + 1, 2**64 - 1)
    made = document(
        outcome(Result.PASSED), upload=UploadRecord("oss://bucket/a/", (file,))
    )
    (shown,) = made["upload"]["files"]
    assert shown == {"key": "a/b", "size": 2**53 + 1, "crc64": str(2**64 - 1)}


def test_a_plan_has_no_sums() -> None:
    plan = UploadRecord("oss://bucket/a/", (UploadedFile("a/b", 1, 0),))
    made = document(outcome(Result.PASSED), plan=plan, dry_run=True)
    assert made["plan"]["files"] == [{"key": "a/b", "size": 1}]
    assert made["upload"] is None


def test_a_job() -> None:
    job = JobRecord("job-1", "SUCCESSED", "qwen3-8b-x")
    made = document(
        outcome(Result.PASSED),
        job=job,
        weight_type=WeightType.LORA,
        base_model="qwen3-8b",
    )
    assert made["job"]["job_id"] == "job-1"
    assert made["job"]["model_name"] == "qwen3-8b-x"
    assert (made["weight_type"], made["base_model"]) == ("lora", "qwen3-8b")


def test_a_check_speaks_of_no_upload_and_no_job() -> None:
    made = as_document(RunRecord("check"))
    assert not {"upload", "plan", "job", "sandbox"} & set(made)


def test_undecodable_names_survive_and_can_be_encoded() -> None:
    made = render_json(RunRecord("check", "no\udcffutf"))
    assert json.loads(made.encode("utf-8"))["directory"] == "no\udcffutf"
