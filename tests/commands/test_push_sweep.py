"""`preflight push` of several directories in one run, against the sandbox."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from fixtures.faults import FAULTS
from preflight.clock import SystemClock, compressed
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault, FaultPlan
from tests.report.test_schemas import DOCUMENT, EVENT, judged
from tests.running import (
    InProcess,
    command,
    environment,
    run,
    started,
    state_files,
    tiny_adapter,
    until,
)

QUICK = ("--poll-interval", "0.05")
URL = "oss://preflight-sandbox/sweep/{parent}/"
NAMES = ("lr1e-4", "lr2e-4", "lr5e-4")


def adapters(place: Path, names: Sequence[str] = NAMES) -> list[Path]:
    """`runs/NAME/adapter`, as sweeps leave them, each with weights of its own."""
    return [
        tiny_adapter(place / "runs" / name / "adapter", seed=number)
        for number, name in enumerate(names)
    ]


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return adapters(tmp_path)


@pytest.fixture
def preflight(
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)


def prefixes(box: Sandbox) -> list[str]:
    """Where the jobs imported from, each as often as there are jobs."""
    return sorted(made.source.prefix for made in box.studio.jobs())


def fault(service: str, operation: str, action: str, **more: object) -> Fault:
    values = {"service": service, "operation": operation, "action": action, **more}
    return Fault.from_json(values)


def by_directory(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The reports, by the name of the run."""
    return {Path(each["directory"]).parent.name: each for each in document["reports"]}


def test_what_fails_stops_nobody_and_the_same_command_goes_on(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path], tmp_path: Path
) -> None:
    """A NaN in the last value, seen in the very bytes that went up."""
    FAULTS["nan-last"].apply(runs[2])
    first = preflight("push", *runs, URL, *QUICK)
    assert first.code == 1
    rows = {line.split()[0]: line for line in first.out.splitlines() if line}
    words = [rows[str(path)].split("  ")[1].strip() for path in runs]
    assert words == ["IMPORTED", "IMPORTED", "NOT READY"]
    assert "✘ NOT DONE  2 of 3: 2 IMPORTED, 1 NOT READY" in first.out
    assert "S10" in first.out
    assert prefixes(sandbox) == ["sweep/lr1e-4/", "sweep/lr2e-4/"]
    assert sandbox.oss.objects(sandbox.bucket, "sweep/lr5e-4/") == []
    names = {job.display_name for job in sandbox.studio.jobs()}
    assert names == {"lr1e-4", "lr2e-4"}
    kept = [json.loads(path.read_text("utf-8")) for path in state_files(preflight.home)]
    assert [each["exit_code"] for each in kept] == [0, 0, 1]
    assert all(each["run"]["ended"] for each in kept)

    # Mended, and one more directory: only what is new is sent.
    shutil.rmtree(runs[2])
    tiny_adapter(runs[2], seed=2)
    more = adapters(tmp_path / "more", ["lr9e-4"])
    before = sandbox.oss_endpoint.log_calls.bytes_received("UploadPart")
    second = preflight("push", *runs, *more, URL, *QUICK, "--format", "json")
    document = judged(second)
    hows = {name: each["job"]["how"] for name, each in by_directory(document).items()}
    done, new = "already done", "created"
    assert hows == dict(zip((*NAMES, "lr9e-4"), (done, done, new, new), strict=True))
    sent = sandbox.oss_endpoint.log_calls.bytes_received("UploadPart") - before
    weights = (*runs[2:], *more)
    assert sent == sum(each.stat().st_size for d in weights for each in d.glob("*.sa*"))
    assert len(prefixes(sandbox)) == 4
    assert all(sandbox.studio.model_is_valid(job.id) for job in sandbox.studio.jobs())


def test_a_directory_goes_to_the_same_place_by_itself_as_with_others(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path]
) -> None:
    """As the tasks of a job array push them."""
    url = "oss://preflight-sandbox/sweep/{parent}-{name}-{digest}/"
    for path in runs[:2]:
        assert preflight("push", path, url, *QUICK).code == 0
    before = prefixes(sandbox)
    done = preflight("push", *runs, url, *QUICK)
    assert done.code == 0, done.err
    assert "2 IMPORTED ALREADY, 1 IMPORTED" in done.out
    assert set(before) < set(prefixes(sandbox))
    assert len(prefixes(sandbox)) == 3
    names = sorted(job.display_name for job in sandbox.studio.jobs())
    assert names == [f"{name}-adapter" for name in NAMES]


def test_two_directories_and_one_prefix_are_told_before_anything_begins(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path]
) -> None:
    for url, remedy in [
        ("oss://preflight-sandbox/s/{name}/", "oss://preflight-sandbox/s/{parent}/"),
        ("oss://preflight-sandbox/s/", "oss://preflight-sandbox/s/{parent}/"),
    ]:
        done = preflight("push", *runs, url)
        assert done.code == 2
        told = done.told()
        assert f"{runs[0]} and {runs[1]} would both go to " in told[0]
        assert told[1] == f"  try  tell them apart in the destination: {remedy}"
        assert preflight("push", "-n", *runs, remedy).code == 0
    assert sandbox.oss_endpoint.log_calls.count() == 0


def test_copies_of_one_model_are_one_model(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path], tmp_path: Path
) -> None:
    """Such as `runs/best`, as a copy or as a link."""
    best = tmp_path / "runs/best/adapter"
    shutil.copytree(runs[0], best)
    latest = tmp_path / "runs/latest"
    latest.symlink_to(runs[0].parent)
    url = "oss://preflight-sandbox/sweep/{digest}/"
    places = (*runs[:2], best, latest / "adapter", runs[0])
    done = preflight("push", *places, url, *QUICK, "--format", "json")
    reports = judged(done)["reports"]
    assert [each["directory"] for each in reports] == [str(p) for p in places[:3]]
    jobs = [each["job"]["job_id"] for each in reports]
    assert len(prefixes(sandbox)) == 2
    assert jobs[0] == jobs[2] != jobs[1]


def test_all_or_nothing(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path]
) -> None:
    FAULTS["nan-last"].apply(runs[1])
    done = preflight("push", *runs, URL, "--all-or-nothing")
    assert done.code == 1
    assert "2 READY" in done.out
    assert sandbox.oss_endpoint.log_calls.count() == 0
    planned = preflight("push", "-n", *runs, URL)
    assert planned.code == 1
    assert "✘ NOT READY  2 of 3 ready" in planned.out


def test_submissions_that_are_throttled_are_waited_for(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    places = adapters(tmp_path, [f"r{n}" for n in range(4)])
    told = {"status": 429, "code": "Throttling.RateQuota"}
    sandbox.faults.add(fault("studio", "CreateImportJob", "status", times=9, **told))
    sandbox.faults.add(
        fault("studio", "ListImportJobs", "status", nth=3, times=4, **told)
    )
    sandbox.studio.policy.job_seconds = 0.2
    with compressed():
        done = preflight("push", *places, URL, "--poll-interval", "1")
    assert done.code == 0, done.err
    assert len(sandbox.faults.fired) == 13
    assert len(set(prefixes(sandbox))) == len(prefixes(sandbox)) == 4


def test_what_was_waited_for_in_vain_is_waited_for_once(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path]
) -> None:
    """And when the service takes jobs again, nothing is sent but the jobs."""
    told = {"status": 429, "code": "Throttling.RateQuota", "times": "always"}
    sandbox.faults.add(fault("studio", "CreateImportJob", "status", **told))
    with compressed():
        before = SystemClock().now()
        first = preflight("push", *runs, URL, *QUICK)
        waited = SystemClock().now() - before
    assert first.code == 6
    assert "3 NOT IMPORTED" in first.out
    assert [line for line in first.out.splitlines() if "Throttling" in line] != []
    assert 600 <= waited < 900
    sandbox.faults.clear()
    sent = sandbox.oss_endpoint.log_calls.bytes_received("UploadPart")
    assert preflight("push", *runs, URL, *QUICK).code == 0
    assert sandbox.oss_endpoint.log_calls.bytes_received("UploadPart") == sent
    assert prefixes(sandbox) == [f"sweep/{name}/" for name in NAMES]


def test_jobs_are_waited_for_together(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A look is two lists, however many jobs there are; each is asked for at its end.

    And one that fails is told with its cause, the others are imported.
    """
    places = adapters(tmp_path, [f"r{n}" for n in range(5)])
    complete = tiny_adapter(tmp_path / "complete", base_config=True)
    for path in places[1:]:
        shutil.copy(complete / "config.json", path)
    sandbox.studio.policy.require_base_config = True
    sandbox.studio.policy.job_seconds = 1.0
    done = preflight(
        "push", *places, URL, "--no-base-config", *QUICK, "--format", "json"
    )
    document = judged(done)
    assert document["exit_code"] == 6
    ends = [each["job"]["state"] for each in document["reports"]]
    assert ends == ["failed", *["succeeded"] * 4]
    calls = sandbox.studio_endpoint.log_calls
    assert calls.count("GetImportJob") <= 10
    assert calls.count("ListImportJobs") > 10


def test_a_key_that_ends_while_jobs_are_waited_for_ends_all_waiting(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path]
) -> None:
    """Each directory tells of its own job, and the same command goes on with them."""
    sandbox.studio.policy.job_seconds = 1.0
    ended = {"status": 401, "code": "InvalidApiKey", "times": "always"}
    sandbox.faults.add(fault("studio", "GetImportJob", "status", **ended))
    first = preflight("push", *runs, URL, *QUICK, "--format", "json")
    assert first.code == 4
    reports = by_directory(first.document)
    assert set(reports) == set(NAMES)
    jobs = {job.id for job in sandbox.studio.jobs()}
    assert {each["job"]["job_id"] for each in reports.values()} == jobs
    assert all("InvalidApiKey" in str(each["error"]) for each in reports.values())
    sandbox.faults.clear()
    assert preflight("push", *runs, URL, *QUICK).code == 0
    assert {job.id for job in sandbox.studio.jobs()} == jobs


def test_a_directory_that_vanishes_is_its_own_matter(
    tmp_path: Path,
    runs: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faults = FaultPlan(sleep=lambda _: shutil.rmtree(runs[1], ignore_errors=True))
    with Sandbox(faults=faults) as box:
        gone = {"seconds": 1, "key": "sweep/lr1e-4/*"}
        box.faults.add(fault("oss", "InitiateMultipartUpload", "latency", **gone))
        run_in = InProcess(tmp_path / "home", monkeypatch, capsys).use(box)
        one_by_one = ("--workers", "2")
        done = run_in("push", *runs, URL, *QUICK, *one_by_one, "--format", "json")
        reports = by_directory(judged(done))
        codes = [reports[name]["exit_code"] for name in NAMES]
        assert codes[0] == codes[2] == 0
        assert codes[1] == done.code != 0
        assert prefixes(box) == ["sweep/lr1e-4/", "sweep/lr5e-4/"]


def test_a_directory_that_is_not_there_is_its_own_matter(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path], tmp_path: Path
) -> None:
    missing = tmp_path / "runs/lr0/adapter"
    done = preflight("push", runs[0], missing, runs[1], URL, *QUICK)
    assert done.code == 2
    assert "✘ NOT DONE  2 of 3: 2 IMPORTED, 1 FAILED" in done.out
    assert f"{missing}: " in done.out
    assert len(prefixes(sandbox)) == 2


def test_what_all_would_meet_ends_it_at_once(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    places = adapters(tmp_path, [f"r{n}" for n in range(8)])
    denied = {"status": 403, "code": "AccessDenied", "times": "always"}
    sandbox.faults.add(fault("oss", "InitiateMultipartUpload", "status", **denied))
    done = preflight("push", *places, URL, *QUICK)
    assert done.code == 4
    assert sandbox.oss_endpoint.log_calls.count("InitiateMultipartUpload") <= 4
    assert "0 of 8" in done.out
    assert len([line for line in done.out.splitlines() if "AccessDenied" in line]) <= 4
    assert prefixes(sandbox) == []


def test_what_cannot_be_carried_out_at_all(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path], tmp_path: Path
) -> None:
    for words, told in [
        ((*runs, URL, "--display-name", "x"), "--display-name gives one name"),
        (runs, "no destination was given"),
        ((URL, *runs), "the destination comes last"),
        ((*runs, "s3://bucket/x/"), "not a destination: 's3://bucket/x/'"),
        ((*runs, "elsewhere"), "not a destination: 'elsewhere'"),
        ((*runs, "oss://bucket/{step}/"), "{step} in"),
    ]:
        done = preflight("push", *words)
        assert done.code == 2
        assert told in done.told()[0]
        judged(preflight("push", *words, "--format", "json"))
    report = tmp_path / "report.json"
    done = preflight("push", *runs, "oss://bucket/x/", "--output", report)
    document = json.loads(report.read_text("utf-8"))
    DOCUMENT.validate(document)
    assert "would both go to" in document["error"]["message"]
    assert (document["exit_code"], len(document["reports"])) == (done.code, 3)
    assert sandbox.oss_endpoint.log_calls.count() == 0


def test_flags_may_stand_between_the_words(
    preflight: InProcess, runs: list[Path]
) -> None:
    words = (runs[0], "-n", runs[1], "--base-model", "qwen3-8b", runs[2], URL)
    done = preflight("push", *words)
    assert (done.code, "✔ READY  3 of 3 ready" in done.out) == (0, True)


def test_events_name_the_directory(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path]
) -> None:
    done = preflight("push", *runs, URL, "--progress", "json", *QUICK)
    assert done.code == 0
    events = [json.loads(line) for line in done.err.splitlines()]
    for event in events:
        EVENT.validate(event)
    known = {str(path) for path in runs}
    for kind in ("stage", "job"):
        named = {event["directory"] for event in events if event["event"] == kind}
        assert named == known
    moves = [each for each in events if each["event"] == "progress"]
    size = sum(each.size for each in sandbox.oss.objects(sandbox.bucket))
    assert (moves[-1]["done"], moves[-1]["total"]) == (size, size)
    assert {str(Path(each["file"]).parent) for each in moves if each["file"]} <= known
    assert [each["event"] for each in events].count("end") == 1


def test_without_waiting_each_job_is_made_once(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path]
) -> None:
    sandbox.studio.policy.job_seconds = 3600
    assert "3 SUBMITTED" in preflight("push", *runs, URL, "--no-wait").out
    again = preflight("push", *runs, URL, "--timeout", "0.1", *QUICK)
    assert (again.code, "3 STILL RUNNING" in again.out) == (8, True)
    assert len(prefixes(sandbox)) == 3


def test_its_own_sandbox(preflight: InProcess, runs: list[Path]) -> None:
    done = preflight("push", "--sandbox", *runs, "oss://my-bucket/s/{parent}/")
    assert (done.code, "3 IMPORTED (sandbox)" in done.out) == (0, True)


def test_every_form_names_each_directory(
    preflight: InProcess, runs: list[Path], tmp_path: Path
) -> None:
    FAULTS["rank-128"].apply(runs[1])
    forms = ("text", "github", "junit", "markdown", "html", "concise")
    outputs = [f"--output={form}={tmp_path}/report.{form}" for form in forms]
    assert preflight("push", "-n", *runs, URL, *outputs).code == 1
    for form in forms:
        told = (tmp_path / f"report.{form}").read_text("utf-8").replace("\\", "")
        assert all(str(path) in told for path in runs), form
        assert "C02" in told, form


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox that calls an interrupt while a request of it is under way."""
    faults = FaultPlan(sleep=lambda _: signal.raise_signal(signal.SIGINT))
    with Sandbox(directory=tmp_path / "box", faults=faults) as box:
        yield box


def test_ctrl_c_leaves_a_table_of_what_was_done(
    held: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Pressed while the third directory goes up."""
    places = adapters(tmp_path, [f"r{n}" for n in range(4)])
    held.faults.add(fault("oss", "UploadPart", "latency", seconds=1, key="sweep/r2/*"))
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys).use(held)
    done = preflight("push", *places, URL, *QUICK)
    assert done.code == 130
    assert "INTERRUPTED" in done.out or "NOT UPLOADED" in done.out
    for path in places:
        assert str(path) in done.out
    assert "the same command goes on" in done.err
    held.faults.clear()
    again = preflight("push", *places, URL, *QUICK)
    assert again.code == 0, again.err
    assert prefixes(held) == sorted(f"sweep/r{n}/" for n in range(4))
    assert held.oss.uploads(held.bucket) == []


def test_killed_in_the_middle_the_same_command_goes_on(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """One is imported by then, one is half sent, one has not begun."""
    places = adapters(tmp_path)
    env = environment(tmp_path / "home", sandbox.environment())
    slow = ("--part-size", "100K", "--workers", "1")
    hold = {"seconds": 60, "key": "sweep/lr2e-4/*", "nth": 5, "times": "always"}
    sandbox.faults.add(fault("oss", "UploadPart", "latency", **hold))
    words = command("push", *places, URL, *QUICK, *slow, "--no-wait")
    with started(words, env) as process:
        until(lambda: sandbox.faults.fired)
        process.kill()
    assert prefixes(sandbox) == ["sweep/lr1e-4/"]
    sandbox.faults.clear()
    told = run(command("status"), env)
    assert "killed" in told.out
    before = sandbox.oss_endpoint.log_calls.bytes_received("UploadPart")
    done = run([*words[:-1], "--format", "json"], env)
    reports = by_directory(json.loads(done.out))
    assert done.code == 0, done.err
    hows = [reports[name]["job"]["how"] for name in NAMES]
    assert hows == ["already done", "created", "created"]
    sent = sandbox.oss_endpoint.log_calls.bytes_received("UploadPart") - before
    size = sum(each.stat().st_size for each in places[1].glob("*.safetensors"))
    assert sent == 2 * size - 4 * 102_400
    assert prefixes(sandbox) == [f"sweep/{name}/" for name in NAMES]
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_what_is_repaired_on_the_way_is_called_what_its_directory_is(
    preflight: InProcess, sandbox: Sandbox, runs: list[Path]
) -> None:
    FAULTS["orig-mod"].apply(runs[1])
    before = {path: path.read_bytes() for path in runs[1].iterdir()}
    url = "oss://preflight-sandbox/sweep/{parent}-{name}/"
    done = preflight("push", *runs, url, "--fix", *QUICK)
    assert done.code == 0, done.out
    assert prefixes(sandbox) == [f"sweep/{name}-adapter/" for name in NAMES]
    names = sorted(job.display_name for job in sandbox.studio.jobs())
    assert names == [f"{name}-adapter" for name in NAMES]
    assert {path: path.read_bytes() for path in runs[1].iterdir()} == before
    left = list((preflight.home / ".cache").rglob("*.safetensors"))
    assert left == []
