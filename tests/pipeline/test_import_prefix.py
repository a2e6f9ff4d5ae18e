"""What lies in a bucket is judged before it is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from preflight.sandbox import Sandbox
from preflight.sandbox.request_log import RequestRecord
from tests.running import InProcess, tiny_adapter
from tests.sources.stored import put, store

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
def url(sandbox: Sandbox, tmp_path: Path) -> str:
    """An adapter that lies there already."""
    return store(sandbox, tiny_adapter(tmp_path / "adapter"), PREFIX)


def test_a_good_prefix_is_judged_and_imported_as_its_files_say(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    done = preflight("import", url, *QUICK, "--scan", "--format", "json")
    assert done.code == 0, done.err
    document = done.document
    assert (document["verdict"], document["base_model"]) == ("pass", "qwen3-8b")
    assert {"S10"} <= {
        o["code"] for o in document["outcomes"] if o["result"] == "passed"
    }
    (job,) = sandbox.studio.jobs()
    assert job.base == "qwen3-8b"


def test_what_would_not_import_is_never_submitted(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    put(sandbox, f"{PREFIX}adapter_config.json", b'{"peft_type": "LORA", "r": 12}')
    done = preflight("import", url, "--base-model", "qwen3-8b", *QUICK)
    assert done.code == 1
    assert "NOT IMPORTED" in done.out
    assert "error C01 " in done.out
    assert sandbox.studio.jobs() == ()
    unseen = preflight("import", url, "--no-check", *QUICK)
    assert (unseen.code, sandbox.studio.jobs()) == (2, ())  # of which base?


def test_an_object_that_changes_while_it_is_checked_is_not_imported(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    def change(call: RequestRecord) -> None:
        if call.operation == "GetObject" and call.key.endswith("adapter_config.json"):
            sandbox.oss_endpoint.log_calls.on_call = lambda _: None
            put(sandbox, f"{PREFIX}README.md", b"# written meanwhile")

    sandbox.oss_endpoint.log_calls.on_call = change
    done = preflight("import", url, *QUICK)
    assert done.code in (1, 5)
    assert "changed" in done.out + done.err
    assert sandbox.studio.jobs() == ()


def test_the_base_s_config_is_added_once_and_never_under_a_live_prefix(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    keys = {each.key for each in sandbox.oss.objects(sandbox.bucket)}
    assert f"{PREFIX}config.json" not in keys
    done = preflight("import", url, *QUICK, "--base-config")
    assert done.code == 0, done.err
    assert "added config.json, from the catalog's figures" in " ".join(done.out.split())
    sandbox.oss.object(sandbox.bucket, f"{PREFIX}config.json")
    (job,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(job.id)
    again = preflight("import", url, *QUICK, "--base-config")
    assert again.code == 0, again.err
    sandbox.oss.delete(sandbox.bucket, f"{PREFIX}config.json")
    refused = preflight("import", url, *QUICK, "--base-config")
    assert refused.code == 6
    assert job.model_name in refused.told()[0]


def test_a_push_without_an_import_goes_on_later(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "one")
    where = f"oss://{sandbox.bucket}/models/two/"
    done = preflight("push", adapter, where, "--no-import")
    assert done.code == 0, done.err
    assert sandbox.studio.jobs() == ()
    verdict, following = done.out.splitlines()[-2:]
    assert verdict.startswith("✔ UPLOADED  verified")
    assert following == f"next  preflight import {where} --base-model qwen3-8b"
    document = preflight(
        "push", adapter, where, "--no-import", "--format", "json"
    ).document
    assert document["job"] is None
    assert document["upload"]["verified"] is True
    words = following.split()[2:]
    assert preflight(*words, *QUICK).code == 0
    assert len(sandbox.studio.jobs()) == 1


def test_a_failed_job_is_explained_by_the_rules(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    put(sandbox, f"{PREFIX}adapter_model.safetensors", b"GGUF" + bytes(60))
    words = ("import", url, "--no-check", "--base-model", "qwen3-8b", *QUICK)
    done = preflight(*words)
    assert done.code == 6
    assert "likely cause by rule S01: adapter_model.safetensors: GGUF model" in done.out
