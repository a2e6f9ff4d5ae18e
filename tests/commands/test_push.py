"""`preflight push` and `wait` as their users see them, against the sandbox."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from preflight.crc import crc64
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.policy import READ_ONLY
from tests.running import (
    InProcess,
    assert_contract,
    command,
    environment,
    run,
    state_files,
    tiny_adapter,
    unprivileged,
)

DESTINATION = "oss://preflight-sandbox/models/one/"
FILES = {"README.md", "adapter_config.json", "adapter_model.safetensors"}
SENT = FILES | {"config.json"}  # the base's, which a push adds


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "adapter")


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def ready(preflight: InProcess, sandbox: Sandbox) -> InProcess:
    """With the settings of a sandbox that this test runs."""
    return preflight.use(sandbox)


def keys_in(box: Sandbox) -> set[str]:
    """All object keys of the sandbox's bucket."""
    return {stored.key for stored in box.oss.objects(box.bucket)}


# The whole way


def test_push_uploads_and_imports(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    done = ready("push", adapter, DESTINATION, "--poll-interval", "0.05", "-v")
    lines = done.out.splitlines()
    (job,) = sandbox.studio.jobs()
    assert done.code == 0
    assert f"uploaded 4 files, 1.7 MB, to {DESTINATION}, verified" in lines
    for name in FILES:
        path = adapter / name
        size, crc = f"{path.stat().st_size:,}", crc64(path.read_bytes())
        (line,) = (line for line in lines if line.startswith(f"  {name} "))
        assert line.endswith(f" {size} bytes  crc64 {crc}")
    told = f'✔ IMPORTED  model {job.model_name}, console name "adapter"'
    assert lines[-1] == told
    assert keys_in(sandbox) == {f"models/one/{name}" for name in SENT}
    assert f"job {job.id} created: pending" in done.err.splitlines()
    assert f"job {job.id}: pending" not in done.err  # told a line ago
    assert sandbox.studio.model_is_valid(job.id)


def test_json_of_a_push_and_of_the_same_again(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    """The contract is kept, in the record too; nothing is sent or made twice."""
    words = ("push", adapter, DESTINATION, "--poll-interval", "0", "--format", "json")
    document = ready(*words).document
    (path,) = state_files(ready.home)
    (job,) = sandbox.studio.jobs()
    assert_contract(document)
    assert (document["command"], document["exit_code"]) == ("push", 0)
    assert document["upload"]["destination"] == DESTINATION
    assert {file["key"] for file in document["upload"]["files"]} == keys_in(sandbox)
    assert document["upload"]["verified"] is True
    assert document["job"]["job_id"] == job.id
    assert document["job"]["status"] == "SUCCESSED"
    assert document["job"]["model_name"] == job.model_name

    kept = json.loads(path.read_text("utf-8"))
    assert kept.pop("run")["ended"] is True
    assert kept == document
    assert path.name.endswith("-push-adapter.json")

    again = ready(*words)
    assert again.code == 0
    assert again.document["job"]["job_id"] == job.id
    assert again.document["upload"]["files"] == document["upload"]["files"]
    sizes = [file["size"] for file in document["upload"]["files"]]
    assert document["upload"]["sent"] == sum(sizes)
    assert again.document["upload"]["sent"] == 0
    (job,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(job.id)


def test_a_display_name_that_is_too_long(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    done = ready("push", adapter, DESTINATION, "--display-name", "x" * 51)
    assert done.code == 2
    assert "51" in done.told()[0]
    assert "50" in done.told()[0]
    assert sandbox.studio.jobs() == ()
    assert keys_in(sandbox) == set()


def test_quiet_leaves_the_report_alone(ready: InProcess, adapter: Path) -> None:
    done = ready("push", adapter, DESTINATION, "--poll-interval", "0", "-q")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("✔ IMPORTED  model qwen3-8b-")
    assert len(done.out.splitlines()) == 1


def test_a_push_of_what_is_imported_already_writes_nothing(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    """Not even the probe for the permission to write: a kill would leave it there."""
    words = ("push", adapter, DESTINATION, "--poll-interval", "0")
    assert ready(*words).code == 0
    sandbox.oss_endpoint.log_calls.clear()
    calls = sandbox.oss_endpoint.log_calls
    second = ready(*words)
    assert (second.code, second.err, len(second.out.splitlines())) == (0, "", 3)
    for operation in ("InitiateMultipartUpload", "UploadPart", "PutObject"):
        assert calls.count(operation) == 0
    assert len(sandbox.studio.jobs()) == 1


def test_a_full_shape_adapter_arrives_bit_by_bit(
    preflight: InProcess, tmp_path: Path
) -> None:
    """Every layer and matrix of Qwen3-8B, in parts."""
    adapter = build_adapter(
        tmp_path / "full-shape", base="qwen3-8b", rank=8, dtype="BF16"
    )
    words = ("--part-size", "8M", "--format", "json")
    done = preflight("push", "--sandbox", adapter, *words)
    document = done.document
    assert (done.code, document["sandbox"]) == (0, True)
    assert_contract(document)
    (made,) = document["upload"]["generated"]
    assert made == "models/full-shape/config.json"
    files = [f for f in document["upload"]["files"] if f["key"] != made]
    local = {
        f"models/full-shape/{path.name}": (path.stat().st_size, crc64_of(path))
        for path in adapter.iterdir()
    }
    assert {f["key"]: (f["size"], int(f["crc64"])) for f in files} == local
    assert max(file["size"] for file in files) > 40_000_000
    assert document["job"]["status"] == "SUCCESSED"


def crc64_of(path: Path) -> int:
    return crc64(path.read_bytes())


def test_events_for_programs_are_all_that_standard_error_holds(
    ready: InProcess, adapter: Path
) -> None:
    words = ("push", adapter, DESTINATION, "--poll-interval", "0", "-q")
    done = ready(*words, "--progress", "json")
    events = [json.loads(line) for line in done.err.splitlines()]
    kinds = [event["event"] for event in events]
    assert {"stage", "progress", "job", "end"} <= set(kinds)
    assert kinds[-1] == "end"
    assert events[-1]["exit_code"] == 0
    sent = [e for e in events if e["event"] == "progress" and e["stage"] == "uploading"]
    assert sent[0]["done"] == 0
    assert (sent[-1]["done"], sent[-1]["kept"]) == (sent[-1]["total"], 0)
    assert [e["state"] for e in events if e["event"] == "job"][-1] == "succeeded"
    failed = ready("push", adapter, "oss://B/", "--progress", "json")
    events = [json.loads(line) for line in failed.err.splitlines()]
    assert [event["event"] for event in events][-2:] == ["error", "end"]
    assert events[-1]["exit_code"] == 2


# Nothing goes up before all is well


def nothing_there(document: dict[str, Any]) -> bool:
    """Whether a document tells of an upload that made no object visible."""
    upload = document["upload"]
    return (upload["files"], upload["complete"], upload["verified"]) == (
        [],
        False,
        False,
    )


def test_a_failed_rule_uploads_nothing(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    FAULTS["nan-last"].apply(adapter)
    done = ready("push", adapter, DESTINATION, "--format", "json")
    document = done.document
    assert_contract(document)
    assert (done.code, document["exit_code"], document["verdict"]) == (1, 1, "fail")
    assert document["job"] is None
    assert nothing_there(document)
    assert keys_in(sandbox) == set()
    text = ready("push", adapter, DESTINATION)
    assert text.out.splitlines()[-2].endswith("nothing was uploaded")
    assert "preflight: " not in text.err  # the verdict says it all


def test_a_dry_run_needs_no_settings_and_no_network(
    preflight: InProcess, adapter: Path
) -> None:
    done = preflight("push", "-n", adapter, DESTINATION)
    assert done.code == 0
    assert done.out.startswith("dry run: nothing is sent\n")
    assert f"\nplan  4 files, 1.7 MB, to {DESTINATION}\n" in done.out
    assert done.out.endswith(f"\nnext  preflight push {adapter} {DESTINATION}\n")
    assert "crc64" not in done.out
    document = preflight("push", "-n", adapter, DESTINATION, "--format", "json")
    assert document.document["upload"] is None
    assert state_files(preflight.home) == []


def test_no_destination(preflight: InProcess, adapter: Path) -> None:
    done = preflight("push", adapter)
    assert (done.code, done.out) == (2, "")
    assert done.told() == [
        "preflight: no destination was given",
        "  try  preflight push MODEL_DIR oss://bucket/prefix/, or add --sandbox",
    ]


def test_an_unknown_base_is_refused_before_anything_is_sent(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    done = ready("push", adapter, DESTINATION, "--base-model", "no-such-model")
    assert done.code == 1
    assert "no-such-model" in done.out
    assert keys_in(sandbox) == set()


# Destinations


@pytest.mark.parametrize(
    ("destination", "told"),
    [
        ("oss://preflight-sandbox/", "is the bucket's root"),
        ("oss://preflight-sandbox", "is the bucket's root"),
        ("oss:///models/", "no bucket in "),
        ("oss://Preflight/models/", "is not a bucket name"),
        ("s3://preflight-sandbox/models/", "not a destination: "),
        ("preflight-sandbox/models/", "not a destination: "),
        ("oss://preflight-sandbox/a/../b/", "a part that is . or .."),
        ("oss://preflight-sandbox/a\nb/", "a control character"),
    ],
)
def test_no_such_destination(
    ready: InProcess, adapter: Path, destination: str, told: str
) -> None:
    done = ready("push", adapter, destination)
    assert (done.code, done.out) == (2, "")
    assert told in done.told()[0]


def test_the_closing_slash_is_added_and_told_and_the_display_name_taken(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    words = ("--poll-interval", "0", "--display-name", "Mine é")
    done = ready("push", adapter, DESTINATION.rstrip("/"), *words)
    assert done.code == 0
    assert f"added the closing slash: {DESTINATION}" in done.err.splitlines()
    assert keys_in(sandbox) == {f"models/one/{name}" for name in SENT}
    assert [job.display_name for job in sandbox.studio.jobs()] == ["Mine é"]


def test_an_unknown_bucket(ready: InProcess, adapter: Path) -> None:
    done = ready("push", adapter, "oss://no-such-bucket-here/models/")
    assert done.code == 2
    assert "NoSuchBucket" in done.told()[0]
    assert any("request id" in line for line in done.told())


def test_a_bucket_without_the_tag(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    sandbox.oss.create_bucket("untagged-bucket")
    done = ready("push", adapter, "oss://untagged-bucket/models/")
    assert done.code == 2
    assert "bailian-datahub-access" in done.told()[0]


@pytest.mark.parametrize("name", ["模型 é", "100%25 a+b&c=d"])
def test_odd_prefixes_arrive_as_they_were_written(
    ready: InProcess, sandbox: Sandbox, adapter: Path, name: str
) -> None:
    url = f"oss://preflight-sandbox/models/{name}/"
    assert ready("push", adapter, url, "--poll-interval", "0").code == 0
    assert keys_in(sandbox) == {f"models/{name}/{file}" for file in SENT}


# Keys


def test_without_credentials_all_that_is_missing_is_named(
    preflight: InProcess, adapter: Path
) -> None:
    done = preflight("push", adapter, DESTINATION, "--format", "json")
    document = done.document
    told = done.told()[0]
    assert (done.code, document["exit_code"], document["verdict"]) == (2, 2, "fail")
    for name in ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "DASHSCOPE_API_KEY"):
        assert name in told
    assert document["error"]["message"] in told
    assert document["outcomes"] == []


def test_wait_without_an_api_key(preflight: InProcess) -> None:
    done = preflight("wait", "job-1")
    assert (done.code, done.out) == (2, "")
    assert "DASHSCOPE_API_KEY" in done.told()[0]
    assert "OSS_ACCESS_KEY_ID" not in done.told()[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OSS_ACCESS_KEY_SECRET", "wrong-secret-0123456789abcdef"),
        ("OSS_ACCESS_KEY_ID", "LTAI5tNoSuchKeyAtAll0001"),
    ],
)
def test_wrong_oss_keys(
    preflight: InProcess, sandbox: Sandbox, adapter: Path, name: str, value: str
) -> None:
    done = preflight.use(sandbox, **{name: value})("push", adapter, DESTINATION)
    assert done.code == 4
    assert done.told()[1].startswith(f"  try  check {name}")
    assert keys_in(sandbox) == set()


def test_a_wrong_api_key(preflight: InProcess, sandbox: Sandbox, adapter: Path) -> None:
    wrong = preflight.use(sandbox, DASHSCOPE_API_KEY="sk-wrong0123456789")
    done = wrong("push", adapter, DESTINATION, "--format", "json")
    assert done.code == 4
    assert "InvalidApiKey" in done.told()[0]
    assert done.document["upload"] is None  # the jobs are asked for before the upload
    assert done.document["job"] is None
    assert sandbox.studio.jobs() == ()


def test_a_key_that_may_not_write(
    preflight: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    sandbox.oss.add_credential(Credential("LTAIreader", "s" * 30, policy=READ_ONLY))
    keys = {"OSS_ACCESS_KEY_ID": "LTAIreader", "OSS_ACCESS_KEY_SECRET": "s" * 30}
    done = preflight.use(sandbox, **keys)("push", adapter, DESTINATION)
    assert done.code == 4
    assert "AccessDenied" in done.told()[0]


def test_a_session_token(preflight: InProcess, sandbox: Sandbox, adapter: Path) -> None:
    sandbox.oss.add_credential(Credential("STS.one", "s" * 30, token="t" * 40))
    keys = {"OSS_ACCESS_KEY_ID": "STS.one", "OSS_ACCESS_KEY_SECRET": "s" * 30}
    words = ("push", adapter, DESTINATION, "--poll-interval", "0")
    assert preflight.use(sandbox, **keys)(*words).code == 4
    assert preflight.use(sandbox, **keys, OSS_SESSION_TOKEN="t" * 40)(*words).code == 0


# Trouble on the way


def fault(action: Action, operation: str, **more: Any) -> Fault:  # noqa: ANN401
    service = "studio" if operation.endswith(("Job", "Jobs")) else "oss"
    return Fault(service=service, operation=operation, action=action, **more)  # type: ignore[arg-type]


def test_a_passing_error_is_got_over(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    sandbox.faults.add(fault(Action.STATUS, "PutObject", status=503))
    sandbox.faults.add(fault(Action.CUT, "GetImportJob", at="before"))
    done = ready("push", adapter, DESTINATION, "--poll-interval", "0.05")
    assert done.code == 0
    assert len(sandbox.faults.fired) == 2
    assert len(sandbox.studio.jobs()) == 1


def test_a_lasting_refusal_is_a_failed_transfer(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    wrong = fault(
        Action.STATUS, "PutObject", status=400, code="InvalidArgument", times="always"
    )
    sandbox.faults.add(wrong)
    done = ready("push", adapter, DESTINATION, "--format", "json")
    assert (done.code, done.document["exit_code"]) == (5, 5)
    assert "InvalidArgument" in done.told()[0]
    assert nothing_there(done.document)
    assert sandbox.studio.jobs() == ()


def test_an_object_that_is_not_ours_is_refused_before_anything_is_sent(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    sandbox.oss.put(sandbox.bucket, "models/one/stranger.bin", [b"x"], size=1)
    done = ready("push", adapter, DESTINATION, "--format", "json")
    assert (done.code, done.document["exit_code"]) == (2, 2)
    assert "stranger.bin" in done.told()[0]
    assert nothing_there(done.document)
    assert done.document["upload"]["sent"] == 0
    assert keys_in(sandbox) == {"models/one/stranger.bin"}
    assert sandbox.studio.jobs() == ()


def test_an_import_that_fails(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    """The base model is known here but not in the service's list."""
    sandbox.studio.bases.pop("qwen3-8b")
    done = ready("push", adapter, DESTINATION, "--format", "json")
    assert (done.code, done.document["verdict"]) == (6, "pass")
    assert done.document["error"]["message"] in done.told()[0]
    assert any("request id" in line for line in done.told())


def test_a_job_that_ends_as_failed(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    sandbox.studio.policy.service_role = False
    done = ready("push", adapter, DESTINATION, "--poll-interval", "0")
    assert done.code == 6
    assert "IMPORTED" not in done.out
    assert done.told()[1].startswith("  try  ")


def test_no_wait_and_then_wait(ready: InProcess, adapter: Path) -> None:
    words = ("push", adapter, DESTINATION, "--no-wait", "--format", "json")
    document = ready(*words).document
    assert_contract(document)
    assert document["job"]["status"] == "PENDING"
    job_id = document["job"]["job_id"]
    done = ready("wait", job_id, "--poll-interval", "0", "--format", "json")
    assert_contract(done.document)
    assert (done.code, done.document["job"]["status"]) == (0, "SUCCESSED")
    text = ready("wait", job_id)
    assert text.code == 0
    assert text.out.splitlines()[-1].startswith("✔ IMPORTED  model qwen3-8b-")


def test_a_job_that_still_runs_at_the_time_limit(
    ready: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    sandbox.studio.policy.job_seconds = 1e6
    flags = ("--timeout", "0.2", "--poll-interval", "0.05")
    done = ready("push", adapter, DESTINATION, *flags)
    (job,) = sandbox.studio.jobs()
    assert done.code == 8
    assert done.told()[1] == f"  try  preflight wait {job.id}"
    assert "IMPORTED" not in done.out
    assert ready("wait", job.id, *flags).code == 8
    sandbox.studio.policy.job_seconds = 0.0
    assert ready("wait", job.id, *flags).code == 0


def test_wait_for_an_unknown_job(ready: InProcess, sandbox: Sandbox) -> None:
    done = ready("wait", "no-such-job", "--format", "json")
    assert done.code in (2, 6)
    assert done.document["exit_code"] == done.code
    assert done.document["verdict"] == "fail"
    assert sandbox.studio.jobs() == ()


@pytest.mark.parametrize("job_id", ["../../etc", "a/b", "a?b=c", "a\x1b[31mb", " "])
def test_wait_for_what_is_no_job_id(ready: InProcess, job_id: str) -> None:
    done = ready("wait", job_id)
    assert done.code in (2, 6)
    assert "\x1b" not in done.err
    assert done.told()


# The run's record


def test_a_failed_push_leaves_its_record_too(ready: InProcess, adapter: Path) -> None:
    assert ready("push", adapter, "oss://no-such-bucket-here/p/").code == 2
    (path,) = state_files(ready.home)
    kept = json.loads(path.read_text("utf-8"))
    assert kept["exit_code"] == 2
    assert "NoSuchBucket" in kept["error"]["message"]


def test_a_home_that_takes_no_record_does_not_fail_the_run(
    ready: InProcess, adapter: Path
) -> None:
    (ready.home / ".local").write_text("a file where a directory would be")
    done = ready("push", adapter, DESTINATION, "--poll-interval", "0")
    assert done.code == 0
    assert "the run record could not be kept: " in done.err


def test_a_home_that_is_read_only_does_not_fail_the_run(
    adapter: Path, tmp_path: Path
) -> None:
    home = tmp_path / "read-only"
    home.mkdir(mode=0o500)
    words = unprivileged(command("push", "--sandbox", adapter))
    done = run(words, environment(home))
    assert done.code == 0
    assert "the run record could not be kept: Permission denied" in done.err
    assert list(home.iterdir()) == []


def test_a_report_that_cannot_be_written_leaves_the_record(
    ready: InProcess, adapter: Path, tmp_path: Path
) -> None:
    flags = ("--poll-interval", "0", "--output", tmp_path)
    done = ready("push", adapter, DESTINATION, *flags)
    assert done.code == 2
    assert done.told()[0].startswith(f"preflight: cannot write {tmp_path}: ")
    (path,) = state_files(ready.home)
    assert json.loads(path.read_text("utf-8"))["job"]["status"] == "SUCCESSED"


# The built-in sandbox


def test_the_sandbox_needs_no_settings(preflight: InProcess, adapter: Path) -> None:
    done = preflight("push", "--sandbox", adapter)
    last = done.out.splitlines()[-1]
    assert done.code == 0
    assert last.startswith("✔ IMPORTED (sandbox)  model qwen3-8b-")
    assert done.err.startswith("sandbox: OSS at http://127.0.0.1:")
    assert preflight("push", "--sandbox", adapter, DESTINATION).code == 0


@pytest.mark.parametrize(
    "name", ["模型", "a b", "...", "x" * 200, os.fsdecode(b"no\xffutf")]
)
def test_the_sandbox_finds_a_prefix_for_any_name(
    preflight: InProcess, tmp_path: Path, name: str
) -> None:
    adapter = tiny_adapter(tmp_path / name)
    done = preflight("push", "--sandbox", adapter)
    assert done.code == 0
    done.out.encode("utf-8")
