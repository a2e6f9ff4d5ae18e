"""A prefix that a model was imported from is read-only."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timezone
from pathlib import Path

import pytest

from preflight.destination import Destination
from preflight.pipeline.guard import jobs_reading
from preflight.sandbox import Sandbox
from preflight.sandbox.studio.jobs import Job
from preflight.studio import ImportApi, StudioClient
from tests.raw_server import http, raw_server
from tests.running import InProcess, Run, tiny_adapter

QUICK = ("--poll-interval", "0.05")
WRITES = ("PutObject", "CompleteMultipartUpload", "DeleteObject", "UploadPart")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "adapter")


@pytest.fixture
def preflight(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)


def url(box: Sandbox, prefix: str = "models/one/") -> str:
    return f"oss://{box.bucket}/{prefix}"


def listing(box: Sandbox) -> list[tuple[str, int, int, float]]:
    return [
        (found.key, found.size, found.crc64, found.last_modified)
        for found in box.oss.objects(box.bucket)
    ]


def push(preflight: InProcess, box: Sandbox, adapter: Path, *flags: str) -> Run:
    return preflight("push", adapter, url(box), *QUICK, *flags)


@pytest.fixture
def imported(preflight: InProcess, sandbox: Sandbox, adapter: Path) -> Job:
    assert push(preflight, sandbox, adapter).code == 0
    (job,) = sandbox.studio.jobs()
    assert sandbox.studio.model_is_valid(job.id)
    return job


def grow(adapter: Path) -> None:
    (adapter / "README.md").write_text("longer than before " * 99)


def flip(adapter: Path) -> None:
    """Other bytes of the same size: only the CRC-64 tells."""
    path = adapter / "README.md"
    path.write_bytes(bytes(reversed(path.read_bytes())))


def add(adapter: Path) -> None:
    (adapter / "LICENSE").write_text("Apache-2.0\n")


def retrain(adapter: Path) -> None:
    """The same shapes, other values, as the next training of the same adapter."""
    path = adapter / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-4:-2] = b"\x01\x02"
    path.write_bytes(data)


CHANGES = {
    grow: "README.md (208 → 1,881 bytes)",
    flip: "README.md (other content)",
    add: "LICENSE (new)",
    retrain: "adapter_model.safetensors (other content)",
}


def test_a_push_that_would_break_a_model_changes_nothing(
    preflight: InProcess, sandbox: Sandbox, adapter: Path, imported: Job
) -> None:
    good = shutil.copytree(adapter, adapter.with_name("good"))
    before = listing(sandbox)
    sandbox.oss_endpoint.log_calls.clear()
    for change, words in CHANGES.items():
        shutil.rmtree(adapter)
        change(shutil.copytree(good, adapter))
        done = push(preflight, sandbox, adapter)
        assert done.code == 6, words
        complaint = done.told()
        for told in (words, imported.model_name, "invalid"):
            assert told in complaint[0]
        assert "models/one-{digest}/" in complaint[1]
        assert "--replace" in complaint[1]
        assert listing(sandbox) == before, words
    assert not sandbox.oss.uploads(sandbox.bucket)
    assert all(sandbox.oss_endpoint.log_calls.count(name) == 0 for name in WRITES)
    assert sandbox.studio.model_is_valid(imported.id)
    assert len(sandbox.studio.jobs()) == 1


def test_the_same_bytes_are_done_already(
    preflight: InProcess, sandbox: Sandbox, adapter: Path, imported: Job
) -> None:
    before = listing(sandbox)
    for flags in ((), ("--replace",)):  # which has nothing to replace
        done = push(preflight, sandbox, adapter, *flags)
        assert done.code == 0, done.err
        assert "--replace was given" not in done.err
        assert "IMPORTED ALREADY" in done.out
        assert imported.model_name in done.out.splitlines()[-1]
        assert listing(sandbox) == before
    assert sandbox.studio.model_is_valid(imported.id)


def test_a_job_that_still_runs_is_protected(
    preflight: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    sandbox.studio.policy.job_seconds = 1e6
    assert push(preflight, sandbox, adapter, "--no-wait").code == 0
    grow(adapter)
    before = listing(sandbox)
    done = push(preflight, sandbox, adapter)
    assert done.code == 6
    assert "(pending) is importing from " in done.told()[0]
    assert listing(sandbox) == before


def test_replace_is_told_what_it_does_and_imports_anew(
    preflight: InProcess, sandbox: Sandbox, adapter: Path, imported: Job
) -> None:
    grow(adapter)
    done = push(preflight, sandbox, adapter, "--replace")
    assert done.code == 0, done.err
    assert f"invalid when its files change: {imported.model_name}" in done.err
    old, new = sandbox.studio.jobs()
    assert not sandbox.studio.model_is_valid(old.id)
    assert sandbox.studio.model_is_valid(new.id)
    assert new.model_name in done.out.splitlines()[-1]
    # The old job still says that it succeeded; it is not taken for the new one.
    again = push(preflight, sandbox, adapter)
    assert again.code == 0, again.err
    assert new.model_name in again.out.splitlines()[-1]
    assert len(sandbox.studio.jobs()) == 2


def test_replace_that_was_cut_short_still_imports_anew(
    preflight: InProcess, sandbox: Sandbox, adapter: Path, imported: Job
) -> None:
    """The bytes changed in a run that died; the next one finds nothing to send."""
    later = sandbox.oss.clock() + 60
    sandbox.oss.clock = sandbox.studio.clock = lambda: later
    data = (adapter / "README.md").read_bytes()[::-1]
    (adapter / "README.md").write_bytes(data)
    sandbox.oss.put(sandbox.bucket, "models/one/README.md", [data], size=len(data))
    done = push(preflight, sandbox, adapter)
    assert done.code == 0, done.err
    assert len(sandbox.studio.jobs()) == 2
    assert sandbox.studio.jobs()[-1].model_name in done.out.splitlines()[-1]
    assert imported.model_name not in done.out


def test_a_failed_import_protects_nothing(
    preflight: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    sandbox.studio.policy.service_role = False
    assert push(preflight, sandbox, adapter).code == 6
    sandbox.studio.policy.service_role = True
    grow(adapter)
    assert push(preflight, sandbox, adapter).code == 0
    assert len(sandbox.studio.jobs()) == 2


def test_below_an_imported_prefix_is_in_use_too(
    preflight: InProcess, sandbox: Sandbox, adapter: Path, imported: Job
) -> None:
    done = preflight("push", adapter, url(sandbox, "models/one/more/"), *QUICK)
    assert done.code == 6
    assert imported.model_name in done.told()[0]
    assert sandbox.studio.model_is_valid(imported.id)


def test_a_neighbour_is_free(
    preflight: InProcess, sandbox: Sandbox, adapter: Path, imported: Job
) -> None:
    grow(adapter)
    for prefix in ("models/one-more/", "models/on/", "models/"):
        flags = ("--allow-extra",) if prefix == "models/" else ()
        done = preflight("push", adapter, url(sandbox, prefix), *QUICK, *flags)
        assert done.code == 0, done.err
        assert sandbox.studio.model_is_valid(imported.id)


def test_the_digest_template_needs_no_replace(
    preflight: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    where = url(sandbox, "models/mine-{digest}/")
    for _ in range(2):
        done = preflight("push", adapter, where, *QUICK)
        assert done.code == 0, done.err
    assert len(sandbox.studio.jobs()) == 1
    grow(adapter)
    assert preflight("push", adapter, where, *QUICK).code == 0
    first, second = sandbox.studio.jobs()
    assert first.source.prefix != second.source.prefix
    assert sandbox.studio.model_is_valid(first.id)
    assert sandbox.studio.model_is_valid(second.id)


def test_doctor_leaves_a_live_prefix_alone(
    preflight: InProcess, sandbox: Sandbox, imported: Job
) -> None:
    done = preflight("doctor", url(sandbox))
    assert done.code == 0
    assert f"is in use: model {imported.model_name}" in done.out
    assert sandbox.studio.model_is_valid(imported.id)


@pytest.mark.parametrize(
    ("status", "reads"),
    [
        ("SUCCESSED", True),
        ("RUNNING", True),
        ("VALIDATED", True),
        ("FAILED", False),
        ("CANCELED", False),
        ("STOPPED", False),
    ],
)
def test_only_a_job_that_may_have_made_a_model_guards_its_prefix(
    *, status: str, reads: bool
) -> None:
    job = {
        "job_id": "j-1",
        "status": status,
        "storage_info": {"bucket_name": "bucket", "object_key": "m/"},
        "gmt_create": datetime.now(timezone.utc).isoformat(),
    }
    form = {"output": {"total": 1, "page_size": 100, "list": [job]}}
    with (
        raw_server([http(json.dumps(form).encode())]) as server,
        StudioClient(server.url, "sk-x") as client,
    ):
        api = ImportApi(client)
        found = jobs_reading(api, Destination("bucket", "m/a/"))
        for bucket, prefix in (("other", "m/a/"), ("bucket", "m-2/"), ("bucket", "n/")):
            assert jobs_reading(api, Destination(bucket, prefix)) == ()
    assert bool(found) == reads
