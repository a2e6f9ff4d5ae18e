"""The document: the promise to programs, for every way a run can end."""

from __future__ import annotations

import json
from typing import Any

from preflight.findings import Outcome, Problem, Result, Severity
from preflight.record import ErrorRecord, RunRecord
from preflight.report import render
from preflight.report.document import as_document
from tests.cases import case
from tests.report.runs import SUMS, checked, imported, planned, uploaded
from tests.running import assert_contract


def outcome(result: Result, severity: Severity = Severity.ERROR) -> Outcome:
    failed = result is Result.FAILED
    problems = (Problem("模型", "is wrong"),) if failed else ()
    reason = "not there" if result is Result.SKIPPED else ""
    return Outcome("X01", "a-rule", severity, result, reason, problems, len(problems))


def document(*outcomes: Outcome, **values: Any) -> dict[str, Any]:  # noqa: ANN401
    judged = checked(*outcomes) if outcomes else None
    record = RunRecord("push", "out/模型", checked=judged, **values)
    made = as_document(record)
    assert_contract(made)
    assert json.loads(render(record, "json")) == made
    return made


def test_the_verdict() -> None:
    cases: list[tuple[list[Outcome], str]] = [
        ([outcome(Result.PASSED)], "pass"),
        ([outcome(Result.PASSED), outcome(Result.SKIPPED)], "pass"),
        ([outcome(Result.FAILED, Severity.WARNING)], "warn"),
        ([outcome(Result.FAILED)], "fail"),
    ]
    for outcomes, verdict in cases:
        with case(outcomes, verdict):
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
    made = document(outcome(Result.PASSED), uploaded=uploaded())
    name = "adapter_model.safetensors"
    assert made["upload"]["files"][0] == {
        "key": f"models/one/{name}",
        "size": 1_705_024,
        "crc64": str(SUMS[name]),
    }


def test_a_plan_has_no_sums() -> None:
    made = document(outcome(Result.PASSED), planned=planned(), dry_run=True)
    assert all(set(file) == {"key", "size"} for file in made["plan"]["files"])
    assert made["upload"] is None


def test_a_job() -> None:
    made = document(outcome(Result.PASSED), imported=imported())
    assert made["job"]["job_id"] == "job-1"
    assert made["job"]["model_name"] == "qwen3-8b-x"
    assert made["job"]["how"] == "created"
    assert (made["weight_type"], made["base_model"]) == ("lora", "qwen3-8b")


def test_a_check_speaks_of_no_upload_and_no_job() -> None:
    made = as_document(RunRecord("check"))
    assert not {"upload", "plan", "job", "sandbox"} & set(made)


def test_undecodable_names_survive_and_can_be_encoded() -> None:
    made = render(RunRecord("check", "no\udcffutf"), "json")
    assert json.loads(made.encode("utf-8"))["directory"] == "no\udcffutf"
