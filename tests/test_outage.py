"""A service that goes away in the middle of a push, in time that passes at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.clock import compressed
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from tests.report.test_schemas import DOCUMENT, EVENT
from tests.running import InProcess, Run, tiny_adapter

OUTAGES: dict[str, dict[str, object]] = {
    "503": {"action": "status", "status": 503, "code": "ServiceUnavailable"},
    "500": {"action": "status", "status": 500, "code": "InternalError"},
    "cut": {"action": "cut", "at": "before"},
}


@pytest.fixture
def push(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Run]:
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)
    adapter = tiny_adapter(tmp_path / "adapter")
    url = f"oss://{sandbox.bucket}/models/one/"
    flags = ("--part-size", "100K", "--no-wait")

    def go(*more: str) -> Run:
        with compressed():
            return preflight("push", adapter, url, *flags, *more)

    return go


def break_parts(sandbox: Sandbox, kind: str, times: int | str) -> None:
    where = {"service": "oss", "operation": "UploadPart"}
    sandbox.faults.add(
        Fault.from_json({**where, "nth": 5, "times": times, **OUTAGES[kind]})
    )


@pytest.mark.parametrize("kind", ["503", "500", "cut"])
def test_a_push_outlasts_an_outage_and_sends_little_again(
    sandbox: Sandbox, push: Callable[..., Run], kind: str
) -> None:
    break_parts(sandbox, kind, 24)
    done = push("--workers", "3")
    assert done.code == 0, done.err
    assert len(sandbox.faults.fired) == 24
    sent = sandbox.oss_endpoint.log_calls.count("UploadPart")
    parts = -(-next(size for size in sizes(sandbox) if size > 10**6) // (100 << 10))
    assert sent - 24 == parts
    told = [line for line in done.err.splitlines() if "waiting for OSS" in line]
    assert 1 <= len(told) <= 12


def sizes(sandbox: Sandbox) -> list[int]:
    return [found.size for found in sandbox.oss.objects(sandbox.bucket)]


def test_programs_hear_of_each_retry(
    sandbox: Sandbox, push: Callable[..., Run]
) -> None:
    break_parts(sandbox, "503", 3)
    done = push("--progress", "json")
    assert done.code == 0, done.err
    events = [json.loads(line) for line in done.err.splitlines()]
    retries = [event for event in events if event["event"] == "retry"]
    assert len(retries) == 3
    assert all("HTTP 503" in event["cause"] for event in retries)
    for event in events:
        EVENT.validate(event)


def test_the_document_tells_what_was_tried_again(
    sandbox: Sandbox, push: Callable[..., Run]
) -> None:
    break_parts(sandbox, "503", 3)
    document = push("--format", "json").document
    DOCUMENT.validate(document)
    (told,) = document["retries"]
    assert "503" in told["cause"]
    assert told["attempts"] == 3
    assert told["waited"] > 0
    assert push("--format", "json").document["retries"] == []


def test_patience_ends_and_the_parts_stay(
    sandbox: Sandbox, push: Callable[..., Run]
) -> None:
    break_parts(sandbox, "503", "always")
    done = push("--patience", "30", "--workers", "1", "--format", "json")
    assert done.code == 5
    upload = done.document["upload"]
    DOCUMENT.validate(done.document)
    assert not upload["complete"]
    assert upload["files"] == []
    assert 0 < upload["sent"] == 4 * (100 << 10)
    assert len(sandbox.oss.uploads(sandbox.bucket)) == 1
    sandbox.faults.clear()
    before = sandbox.oss_endpoint.log_calls.count("UploadPart")
    assert push().code == 0
    again = sandbox.oss_endpoint.log_calls.count("UploadPart") - before
    assert 0 < again < 17
