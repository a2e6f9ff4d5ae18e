"""`jobs`, `wait`, `delete`, `import` and `status` as their users meet them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from preflight.findings import WeightType
from preflight.sandbox import Sandbox
from preflight.sandbox.studio.bodies import CreateRequest
from preflight.sandbox.studio.jobs import Job, Source
from tests.running import InProcess, run, tiny_adapter

QUICK = ("--poll-interval", "0.05")
PREFIX = "models/one/"


@pytest.fixture
def preflight(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)


@pytest.fixture
def uploaded(sandbox: Sandbox, tmp_path: Path) -> str:
    """A URL under which an adapter lies that was never imported."""
    adapter = tiny_adapter(tmp_path / "adapter")
    for path in adapter.iterdir():
        data = path.read_bytes()
        sandbox.oss.put(sandbox.bucket, PREFIX + path.name, [data], size=len(data))
    return f"oss://{sandbox.bucket}/{PREFIX}"


def make(sandbox: Sandbox, name: str, base: str = "qwen3-8b") -> Job:
    source = Source(sandbox.bucket, f"models/{name}/")
    request = CreateRequest(base, name, source, WeightType.LORA)
    return sandbox.studio.create(request)


def test_no_jobs_is_said(preflight: InProcess) -> None:
    done = preflight("jobs")
    assert (done.code, done.out, done.err) == (0, "no jobs\n", "")
    assert json.loads(preflight("jobs", "--format", "json").out)["jobs"] == []


def test_all_pages_are_listed_newest_first(
    preflight: InProcess, sandbox: Sandbox
) -> None:
    made = [make(sandbox, f"m{number}") for number in range(201)]
    shown = json.loads(preflight("jobs", "--format", "json").out)["jobs"]
    assert [job["job_id"] for job in shown] == [job.id for job in reversed(made)]
    assert sandbox.studio_endpoint.log_calls.count("ListImportJobs") == 3
    lines = preflight("jobs", "--limit", "2").out.splitlines()
    assert [line.split()[0] for line in lines] == ["job", made[-1].id, made[-2].id]


def test_the_beginning_of_an_id_is_enough(
    preflight: InProcess, sandbox: Sandbox
) -> None:
    job = make(sandbox, "one")
    other = make(sandbox, "two")
    shown = json.loads(preflight("jobs", job.id[:8], "--format", "json").out)["jobs"]
    assert [each["job_id"] for each in shown] == [job.id]
    both = preflight("jobs", "f" * 35)
    assert both.code == 6
    assert preflight("wait", job.id[:8], *QUICK).code == 6  # nothing lies there
    assert preflight("delete", job.id[:8], "--yes").code == 0
    assert [each.id for each in sandbox.studio.jobs()] == [other.id]
    for beginning in (other.id[:1], job.id[:1]):
        clash = [j.id for j in sandbox.studio.jobs() if j.id.startswith(beginning)]
        code = preflight("jobs", beginning).code
        assert code == (0 if len(clash) == 1 else 6)


def test_a_beginning_of_several_ids_is_refused(
    preflight: InProcess, sandbox: Sandbox
) -> None:
    ids = [make(sandbox, f"m{number}").id for number in range(17)]
    firsts = [each[0] for each in ids]
    twice = next(each for each in firsts if firsts.count(each) > 1)
    done = preflight("jobs", twice)
    assert done.code == 2
    assert f"jobs begin with {twice}: " in done.told()[0]


def test_success_has_one_word_for_programs_and_the_service_s_beside_it(
    preflight: InProcess, uploaded: str
) -> None:
    preflight("import", uploaded, "--base-model", "qwen3-8b", *QUICK)
    (job,) = json.loads(preflight("jobs", "--format", "json").out)["jobs"]
    assert (job["status"], job["state"]) == ("SUCCESSED", "succeeded")
    assert " succeeded " in preflight("jobs").out


def test_a_limit_asks_for_no_more_pages_than_it_needs(
    preflight: InProcess, sandbox: Sandbox
) -> None:
    for number in range(101):
        make(sandbox, f"m{number}")
    preflight("jobs", "--limit", "100")
    assert sandbox.studio_endpoint.log_calls.count("ListImportJobs") == 1


@pytest.mark.parametrize("word", ["succeeded", "SUCCESSED", "Succeeded"])
def test_both_spellings_of_success_filter(
    preflight: InProcess, sandbox: Sandbox, uploaded: str, word: str
) -> None:
    done = preflight("import", uploaded, "--base-model", "qwen3-8b", *QUICK)
    assert done.code == 0, done.err
    sandbox.studio.policy.job_seconds = 1e6
    other = make(sandbox, "other")
    shown = preflight("jobs", "--status", word).out
    assert sandbox.studio.jobs()[0].id in shown
    assert other.id not in shown
    assert other.id in preflight("jobs", "--status", "pending").out


def test_the_model_s_name_filters(preflight: InProcess, sandbox: Sandbox) -> None:
    one, other = make(sandbox, "one"), make(sandbox, "other")
    shown = preflight("jobs", "--model-name", one.model_name).out
    assert one.id in shown
    assert other.id not in shown


def test_one_job_and_why_it_failed(preflight: InProcess, sandbox: Sandbox) -> None:
    job = make(sandbox, "nothing-there")
    waited = preflight("wait", job.id, *QUICK)
    assert waited.code == 6
    where = f"oss://{sandbox.bucket}/models/nothing-there/"
    assert f"likely cause: nothing lies under {where}" in waited.out
    done = preflight("jobs", job.id)
    assert done.code == 0
    assert "status      failed" in done.out
    assert "why       the platform could not read the files" in done.out
    assert "fix       run `preflight doctor" in done.out
    assert "request id  " in done.out
    form = json.loads(preflight("jobs", job.id, "--format", "json").out)
    assert [each["status"] for each in form["jobs"]] == ["FAILED"]


@pytest.mark.parametrize("command", ["jobs", "wait", "delete"])
def test_an_unknown_job(preflight: InProcess, command: str) -> None:
    done = preflight(command, "11111111-2222-3333-4444-555555555555")
    assert done.code == 6
    word = "11111111-2222-3333-4444-555555555555"
    assert done.told()[0] == f"preflight: no job {word} in this workspace (NotFound)"
    assert "`preflight jobs` lists them" in done.told()[1]
    assert done.told()[-1].startswith("  request id  ")


@pytest.mark.parametrize("command", ["jobs", "wait", "delete"])
def test_what_is_no_job_id(preflight: InProcess, command: str) -> None:
    done = preflight(command, "../../keys")
    assert done.code == 2
    assert done.told()[0] == "preflight: not a job id: '../../keys'"


def test_delete_asks_for_yes(preflight: InProcess, sandbox: Sandbox) -> None:
    job = make(sandbox, "gone")
    running = preflight("delete", job.id, "--yes")
    assert running.code == 2
    assert "cannot be deleted: only final jobs can" in running.told()[0]
    preflight("wait", job.id, *QUICK)
    asked = preflight("delete", job.id)
    assert (asked.code, asked.out) == (2, "")
    for words in (f"would delete job {job.id} (failed)", "stay", "nothing was deleted"):
        assert words in asked.told()[0]
    assert len(sandbox.studio.jobs()) == 1
    assert sandbox.studio_endpoint.log_calls.count("DeleteImportJob") == 0
    done = preflight("delete", job.id, "--yes")
    assert (done.code, done.err) == (0, "")
    assert f"the objects under oss://{sandbox.bucket}/models/gone/ stay" in done.out
    assert "request id" in done.out
    assert sandbox.studio.jobs() == ()


def test_delete_leaves_the_objects(
    preflight: InProcess, sandbox: Sandbox, uploaded: str
) -> None:
    preflight("import", uploaded, "--base-model", "qwen3-8b", *QUICK)
    (job,) = sandbox.studio.jobs()
    before = sandbox.oss.objects(sandbox.bucket)
    assert preflight("delete", job.id, "--yes").code == 0
    assert sandbox.oss.objects(sandbox.bucket) == before


def test_import_what_lies_there(
    preflight: InProcess, sandbox: Sandbox, uploaded: str
) -> None:
    words = ("import", uploaded, "--base-model", "Qwen/Qwen3-8B")
    done = preflight(*words, *QUICK, "--display-name", "mine")
    assert done.code == 0, done.err
    (job,) = sandbox.studio.jobs()
    assert (job.base, job.display_name) == ("qwen3-8b", "mine")
    assert job.weight_type is WeightType.LORA
    last = f'✔ IMPORTED  model {job.model_name}, console name "mine"'
    assert done.out.splitlines()[-1] == last
    again = preflight(*words, *QUICK, "--format", "json")
    assert (again.code, again.document["job"]["how"]) == (0, "already done")
    assert len(sandbox.studio.jobs()) == 1
    assert preflight(*words, *QUICK, "--again").code == 0
    assert len(sandbox.studio.jobs()) == 2


def test_import_without_waiting(
    preflight: InProcess, sandbox: Sandbox, uploaded: str
) -> None:
    words = ("import", uploaded, "--base-model", "qwen3-8b", "--no-wait")
    done = preflight(*words)
    assert done.code == 0
    verdict, following = done.out.splitlines()[-2:]
    assert verdict.startswith("✔ SUBMITTED  job ")
    assert following.startswith("next  preflight wait ")
    assert "deploy" not in done.out
    assert preflight(*words).code == 0
    assert len(sandbox.studio.jobs()) == 1


@pytest.mark.parametrize(
    ("names", "flags", "words"),
    [
        ((), ("--base-model", "qwen3-8b"), "nothing lies directly under"),
        (("deep/adapter_config.json",), ("--base-model", "qwen3-8b"), "nothing lies"),
        (("notes.txt",), ("--base-model", "qwen3-8b"), "neither an adapter nor"),
        (("a.safetensors",), ("--base-model", "gpt-2"), "is no base model known"),
    ],
)
def test_import_refuses_what_cannot_be_one(
    preflight: InProcess,
    sandbox: Sandbox,
    names: tuple[str, ...],
    flags: tuple[str, ...],
    words: str,
) -> None:
    for name in names:
        sandbox.oss.put(sandbox.bucket, f"p/{name}", [b"x"], size=1)
    done = preflight("import", f"oss://{sandbox.bucket}/p/", *flags)
    assert done.code == 2
    assert words in done.told()[0]
    assert sandbox.studio.jobs() == ()


BROKEN: dict[str, tuple[dict[str, bytes | None], str]] = {
    "weights missing": (
        {"adapter_model.safetensors": None},
        "adapter_model.safetensors is not there; lora imports need it",
    ),
    "rank": (
        {"adapter_config.json": b'{"peft_type": "LORA", "r": 12}'},
        "adapter_config.json: r is 12; accepted are 8, 16, 32, 64",
    ),
    "no JSON": ({"adapter_config.json": b"{"}, "adapter_config.json is not JSON"),
    "empty": ({"adapter_model.safetensors": b""}, "adapter_model.safetensors is empty"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_failed_import_is_looked_into(
    preflight: InProcess, sandbox: Sandbox, uploaded: str, name: str
) -> None:
    changes, words = BROKEN[name]
    for file, data in changes.items():
        if data is None:
            sandbox.oss.delete(sandbox.bucket, PREFIX + file)
        else:
            sandbox.oss.put(sandbox.bucket, PREFIX + file, [data], size=len(data))
    words_of_it = ("import", uploaded, "--base-model", "qwen3-8b", *QUICK)
    refused = preflight(*words_of_it)
    assert refused.code == 1
    assert "NOT IMPORTED" in refused.out
    assert sandbox.studio.jobs() == ()
    done = preflight(*words_of_it, "--no-check")
    assert done.code == 6
    assert "AvailableModelFileNotFound" in done.told()[0]
    assert "likely cause by rule " in done.out
    assert f"likely cause: {words}" in done.out
    assert any(line.startswith("  request id  ") for line in done.told())


def test_a_role_that_is_missing_is_what_remains(
    preflight: InProcess, sandbox: Sandbox, uploaded: str
) -> None:
    sandbox.studio.policy.service_role = False
    done = preflight("import", uploaded, "--base-model", "qwen3-8b", *QUICK)
    assert done.code == 6
    assert "Failed to get files from OSS" in done.told()[0]
    assert "service-linked role" in done.out


def test_waiting_needs_no_keys_of_oss(
    preflight: InProcess, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OSS_ACCESS_KEY_SECRET")
    done = preflight("wait", make(sandbox, "nothing-there").id, *QUICK)
    assert done.code == 6
    assert "could not be looked at: not set: OSS_ACCESS_KEY_SECRET" in done.out


def test_the_next_step_is_named_and_not_taken(
    preflight: InProcess, sandbox: Sandbox, uploaded: str
) -> None:
    words = ("import", uploaded, "--base-model", "qwen3-8b", *QUICK)
    done = preflight(*words)
    (job,) = sandbox.studio.jobs()
    body = {
        "name": job.display_name,
        "model_name": job.model_name,
        "plan": "lora",
        "capacity": 1,
    }
    assert f"curl -X POST {sandbox.studio_url}/deployments" in done.out
    assert "billed by the token: nothing while unused" in done.out
    assert "call it by the answer's `deployed_model` (a second needs" in done.out
    assert "vLLM's defaults: temperature 1.0, top_p 1.0, top_k none" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines()[1:])
    step = preflight(*words, "--format", "json").document["next_step"]
    assert (step["method"], step["body"]) == ("POST", body)
    assert step["sampling"]["repetition_penalty"] == 1.0
    assert sandbox.api_key not in done.out


def test_the_next_step_can_be_taken_as_it_is_printed(
    preflight: InProcess, sandbox: Sandbox, uploaded: str
) -> None:
    done = preflight("import", uploaded, "--base-model", "qwen3-8b", *QUICK)
    lines = iter(done.out.splitlines())
    call = [next(line for line in lines if line.startswith("  curl "))]
    while not call[-1].endswith("}'"):
        call.append(next(lines))
    script = "\n".join(call).replace("curl", "curl --silent --noproxy '*'", 1)
    told = run(["bash", "-c", script], {**os.environ, **sandbox.environment()})
    (job,) = sandbox.studio.jobs()
    output = json.loads(told.out)["output"]
    assert (output["deployed_model"], output["status"]) == (job.model_name, "PENDING")
    assert output["name"] == job.display_name
