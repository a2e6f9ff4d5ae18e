"""The schemas hold for what every command prints, however it ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fixtures.faults import FAULTS
from preflight.commands import COMMANDS
from preflight.report.schemas import SCHEMAS, load_schema
from preflight.sandbox import Sandbox
from tests.cases import case
from tests.running import InProcess, Run, tiny_adapter

QUICK = ("--poll-interval", "0.05")
NO_DOCUMENT = {
    "sandbox",
    "completion",
    "schema",
    "mk",
}  # print something else than results


def closed(schema: Any) -> Any:  # noqa: ANN401
    """The schema without room for fields that it does not name."""
    if isinstance(schema, dict):
        made = {name: closed(value) for name, value in schema.items()}
        if "properties" in made and made.get("type") == "object":
            made.setdefault("additionalProperties", False)
        return made
    return [closed(each) for each in schema] if isinstance(schema, list) else schema


DOCUMENT = Draft202012Validator(closed(load_schema("document")))
EVENT = Draft202012Validator(closed(load_schema("event")))


def test_a_schema_is_one() -> None:
    for name in SCHEMAS:
        with case(name):
            Draft202012Validator.check_schema(load_schema(name))


@pytest.fixture
def preflight(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)


def judged(done: Run) -> dict[str, Any]:
    """The one document of a run, which keeps the schema."""
    document = done.document
    DOCUMENT.validate(document)
    assert document["exit_code"] == done.code
    if done.code:
        assert (
            document.get("error")
            or document.get("verdict") == "fail"
            or (document["command"] == "doctor")
        )
    return document


def test_every_command_and_every_kind_of_ending(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    good = tiny_adapter(tmp_path / "good")
    broken = tiny_adapter(tmp_path / "broken")
    FAULTS["rank-128"].apply(broken)
    where, other = f"oss://{sandbox.bucket}/m/", f"oss://{sandbox.bucket}/n/"
    seen: dict[str, set[int]] = {}

    def run(*words: object) -> dict[str, Any]:
        done = preflight(*words, "--format", "json")
        document = judged(done)
        seen.setdefault(str(words[0]), set()).add(done.code)
        return document

    run("check", good)
    run("check", broken)
    run("check", tmp_path / "nowhere")
    run("check", good, "--no-such-flag")
    run("status")
    pushed = run("push", good, where, *QUICK)
    assert pushed["upload"]["verified"]
    run("push", good, where, *QUICK)
    run("push", broken, other)
    run("push", good, "oss://no-such-bucket-here/m/")
    run("push", "-n", good, where)
    run("push", good)
    run("import", where, "--base-model", "qwen3-8b", *QUICK)
    run("import", where, "--base-model", "gpt-2")
    sandbox.studio.policy.job_seconds = 1e6
    late = run("push", good, other, "--timeout", "0.1", *QUICK)
    job = late["job"]["job_id"]
    run("wait", job, "--timeout", "0.1", *QUICK)
    run("wait", "11111111-2222-3333-4444-555555555555")
    run("jobs")
    run("jobs", job)
    run("jobs", "../x")
    run("delete", job, "--yes")
    run("delete", pushed["job"]["job_id"])
    run("delete", pushed["job"]["job_id"], "--yes")
    run("status", "--offline")
    run("verify", where)
    run("verify", where, "--manifest", tmp_path / "none.json")
    run("clean", where)
    run("clean", "nothing")
    run("doctor", where)
    run("doctor", "oss://no-such-bucket-here/m/")
    run("explain")
    run("explain", "Z99")
    run("explain", "C02")
    run("bases")
    run("show", good)
    run("show", tmp_path)
    run("diff", good, broken)
    run("diff", good, tmp_path)
    run("fix", broken, "-n")
    run("fix", good, "-o", tmp_path / "fixed")
    assert set(seen) == set(COMMANDS) - NO_DOCUMENT
    for command, codes in seen.items():
        assert command == "bases" or len(codes) > 1, command
    assert seen["push"] >= {0, 1, 2, 8}


def events_of(done: Run) -> Iterator[dict[str, Any]]:
    for line in done.err.splitlines():
        event = json.loads(line)
        EVENT.validate(event)
        yield event


def test_every_event(preflight: InProcess, sandbox: Sandbox, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "good")
    flags = ("--progress", "json")
    where = f"oss://{sandbox.bucket}/m/"
    kinds = set()
    for words in (
        ("check", adapter, *flags),
        ("push", adapter, where, *QUICK, *flags),
        ("push", adapter, "oss://no-such-bucket-here/m/", *flags),
    ):
        told = [event["event"] for event in events_of(preflight(*words))]
        assert told[-1] == "end"
        kinds |= set(told)
    assert kinds == {"stage", "progress", "job", "message", "error", "end"}
    retry = {
        "event": "retry",
        "time": "2026-11-26T12:30:05.000+08:00",
        "attempt": 1,
        "pause": 0.5,
        "waited": 0.0,
        "cause": "x",
    }
    EVENT.validate(retry)
