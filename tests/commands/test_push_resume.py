"""`preflight push` that is disturbed: what the bucket holds, and how it goes on."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from preflight.crc import crc64
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault, FaultPlan
from tests.running import InProcess, command, ended, environment, run, started, until
from tests.sharded import BASE, build_sharded, importable, write_catalog

DESTINATION = "oss://preflight-sandbox/models/one/"
PREFIX = "models/one/"
PART = 100 << 10
WORKERS = 2
KNOBS = (
    *("--base-model", BASE, "--part-size", "100K", "--workers", WORKERS),
    *("--poll-interval", "0.05"),
)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox(directory=tmp_path / "box", bases=[importable()]) as made:
        yield made
        made.check()


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    catalog = write_catalog(tmp_path / "bases")
    monkeypatch.setenv("PREFLIGHT_BASES", str(catalog))
    return build_sharded(tmp_path / "model")


@pytest.fixture
def ready(
    tmp_path: Path,
    model: Path,
    box: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    del model
    run = InProcess(tmp_path / "home", monkeypatch, capsys).use(box)
    monkeypatch.setenv("PREFLIGHT_BASES", str(next((tmp_path / "bases").glob("*"))))
    return run


def surroundings(box: Sandbox, tmp_path: Path, home: str) -> dict[str, str]:
    """The environment of a process that pushes to the sandbox."""
    catalog = next((tmp_path / "bases").glob("*"))
    values = {**box.environment(), "PREFLIGHT_BASES": str(catalog)}
    return environment(tmp_path / home, values)


def fault(operation: str, action: str, **more: object) -> Fault:
    values = {"service": "oss", "operation": operation, "action": action, **more}
    return Fault.from_json(values)


def visible(box: Sandbox) -> dict[str, int]:
    """Name and CRC-64 of all objects below the prefix."""
    found = box.oss.objects(box.bucket, PREFIX)
    return {one.key.removeprefix(PREFIX): one.crc64 for one in found}


def local(model: Path) -> dict[str, int]:
    return {path.name: crc64(path.read_bytes()) for path in model.iterdir()}


def weights(model: Path) -> int:
    return sum(path.stat().st_size for path in model.glob("*.safetensors"))


def sent(box: Sandbox) -> int:
    """Bytes of parts that came in so far."""
    return box.oss_endpoint.log_calls.bytes_received("UploadPart")


def everything(box: Sandbox) -> object:
    """All that a bucket listing and an upload listing show."""
    objects = box.oss.objects(box.bucket)
    uploads = box.oss.uploads(box.bucket)
    held = [
        (one.key, one.id, box.oss.parts(box.bucket, one.key, one.id)) for one in uploads
    ]
    return [(one.key, one.etag, one.last_modified) for one in objects], held


def test_a_nan_in_the_last_value_leaves_the_bucket_as_it_was(
    ready: InProcess, box: Sandbox, model: Path
) -> None:
    box.oss.put(box.bucket, "models/other/config.json", [b"{}"])
    box.oss.initiate(box.bucket, "models/other/model.safetensors")
    FAULTS["nan-last"].apply(model)
    before = everything(box)
    done = ready("push", model, DESTINATION, *KNOBS)
    assert done.code == 1
    assert "NaN" in done.out
    assert sent(box) == weights(model)  # found in the very bytes that went up
    assert everything(box) == before


def test_weights_without_a_scan_may_hold_anything(
    ready: InProcess, box: Sandbox, model: Path
) -> None:
    FAULTS["nan-last"].apply(model)
    done = ready("push", model, DESTINATION, "--no-scan", *KNOBS)
    assert done.code == 0
    assert visible(box) == local(model)


def test_what_cannot_be_taken_back_is_not_sent_again(
    ready: InProcess, box: Sandbox, model: Path
) -> None:
    last, kept = "*-00002-of-*", {"key": "*.safetensors", "times": "always"}
    box.faults.add(
        fault("UploadPart", "status", status=400, key=last, nth=5, code="InvalidPart")
    )
    denied = {"status": 403, "code": "AccessDenied"}
    box.faults.add(fault("AbortMultipartUpload", "status", **denied, **kept))
    first = ready("push", model, DESTINATION, *KNOBS)
    assert first.code == 5
    assert visible(box) == {}
    box.faults.clear()
    before = sent(box)
    second = ready("push", model, DESTINATION, *KNOBS)
    assert second.code == 0
    assert " lay there already" in second.out
    assert visible(box) == local(model)
    assert sent(box) <= weights(model) + (WORKERS + 1) * PART
    assert before < sent(box)
    assert "the upload is not complete" in first.out
    assert box.oss.uploads(box.bucket) == []


def test_restart_begins_anew(ready: InProcess, box: Sandbox, model: Path) -> None:
    name = "model-00001-of-00003.safetensors"
    left = box.oss.initiate(box.bucket, PREFIX + name)
    data = (model / name).read_bytes()[:PART]
    box.oss.put_part(box.bucket, PREFIX + name, left.id, 1, [data])
    done = ready("push", model, DESTINATION, "--restart", *KNOBS)
    assert done.code == 0
    assert sent(box) == weights(model)
    assert box.oss.uploads(box.bucket) == []


def test_parts_of_another_training_are_not_taken(
    ready: InProcess, box: Sandbox, model: Path
) -> None:
    for name in (
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
    ):
        left = box.oss.initiate(box.bucket, PREFIX + name)
        for number in (1, 2, 3):
            box.oss.put_part(box.bucket, left.key, left.id, number, [bytes(PART)])
    assert ready("push", model, DESTINATION, *KNOBS).code == 0
    assert visible(box) == local(model)
    assert box.oss.uploads(box.bucket) == []


def test_strangers_are_named_before_the_first_byte(
    ready: InProcess, box: Sandbox, model: Path
) -> None:
    box.oss.put(box.bucket, PREFIX + "optimizer.pt", [b"x"])
    done = ready("push", model, DESTINATION, *KNOBS)
    assert done.code == 2
    assert "optimizer.pt" in done.err
    assert "--allow-extra" in done.err
    assert sent(box) == 0
    assert ready("push", model, DESTINATION, "--allow-extra", *KNOBS).code == 0
    assert visible(box) == local(model) | {"optimizer.pt": crc64(b"x")}


def test_clean_lists_and_aborts_what_was_never_finished(
    ready: InProcess, box: Sandbox
) -> None:
    left = box.oss.initiate(box.bucket, PREFIX + "model.safetensors")
    box.oss.put_part(box.bucket, left.key, left.id, 1, [bytes(PART)])
    box.oss.initiate(box.bucket, "elsewhere/model.safetensors")
    listed = ready("clean", DESTINATION)
    assert (listed.code, len(listed.out.splitlines())) == (0, 1)
    assert left.id in listed.out
    assert "--yes" in listed.err
    aborted = ready("clean", DESTINATION, "--yes", "--format", "json")
    (row,) = json.loads(aborted.out)["uploads"]
    assert (row["key"], row["bytes"], row["aborted"]) == (left.key, PART, True)
    assert [one.key for one in box.oss.uploads(box.bucket)] == [
        "elsewhere/model.safetensors"
    ]
    assert ready("clean", DESTINATION).out == ""


@pytest.mark.parametrize("form", ["text", "json"])
def test_clean_goes_on_where_an_upload_ended_meanwhile(
    ready: InProcess, box: Sandbox, form: str
) -> None:
    """Its own run completed it, or a lifecycle rule was quicker."""
    for name in ("a", "b", "c"):
        left = box.oss.initiate(box.bucket, f"{PREFIX}{name}.safetensors")
        box.oss.put_part(box.bucket, left.key, left.id, 1, [bytes(PART)])
    gone = {"status": 404, "code": "NoSuchUpload", "key": f"{PREFIX}b.*"}
    box.faults.add(fault("ListParts", "status", **gone))
    done = ready("clean", DESTINATION, "--yes", "--format", form)
    assert done.code == 0, done.err
    assert len(box.oss.uploads(box.bucket)) == 1  # the fault alone said it was gone
    if form == "json":
        rows = json.loads(done.out)["uploads"]
        assert [row["aborted"] for row in rows] == [True, False, True]
        assert [row["gone"] for row in rows] == [False, True, False]
    else:
        words = [line.split()[0] for line in done.out.splitlines()]
        assert words == ["aborted", "gone", "aborted"]
        assert "aborted 2 below" in done.err


@pytest.mark.parametrize("form", ["text", "json"])
def test_clean_tells_what_it_did_before_it_was_refused(
    ready: InProcess, box: Sandbox, form: str
) -> None:
    for name in ("a", "b"):
        box.oss.initiate(box.bucket, f"{PREFIX}{name}.safetensors")
    denied = {"status": 403, "code": "AccessDenied", "key": f"{PREFIX}b.*"}
    box.faults.add(fault("AbortMultipartUpload", "status", times="always", **denied))
    done = ready("clean", DESTINATION, "--yes", "--format", form)
    assert done.code == 4
    assert "oss:AbortMultipartUpload" in done.told()[0]
    if form == "json":
        document = json.loads(done.out)
        assert [row["aborted"] for row in document["uploads"]] == [True]
        assert "AccessDenied" in document["error"]["message"]
    else:
        assert done.out.startswith("aborted  models/one/a.safetensors")
        assert "aborted 1 below" in done.err


def test_what_the_digest_is_made_of_is_not_read_in_silence(
    ready: InProcess, model: Path
) -> None:
    url = "oss://preflight-sandbox/m/{digest}/"
    flags = ("--no-scan", "--dry-run", "--progress", "json")
    done = ready("push", model, url, *KNOBS, *flags)
    assert done.code == 0, done.err
    events = [json.loads(line) for line in done.err.splitlines()]
    seen = [e for e in events if e.get("stage") == "reading for {digest}"]
    size = sum(path.stat().st_size for path in model.iterdir())
    assert [seen[0]["done"], seen[-1]["done"], seen[-1]["total"]] == [0, size, size]
    stages = [event["stage"] for event in events if event["event"] == "stage"]
    assert stages.count("digest") == 2  # it begins and it ends


def test_placeholders_make_a_prefix_for_each_version(
    ready: InProcess, box: Sandbox, model: Path
) -> None:
    url = "oss://preflight-sandbox/m/{base}/{name}-{digest}/"
    assert ready("push", model, url, *KNOBS).code == 0
    assert ready("push", model, url, *KNOBS).code == 0
    prefixes = {one.key.rpartition("/")[0] for one in box.oss.objects(box.bucket)}
    (prefix,) = prefixes
    assert prefix.startswith(f"m/{BASE}/model-")
    config = model / "generation_config.json"
    config.write_text(config.read_text("utf-8") + " ", "utf-8")
    assert ready("push", model, url, *KNOBS).code == 0
    prefixes = {one.key.rpartition("/")[0] for one in box.oss.objects(box.bucket)}
    assert len(prefixes) == 2


def test_an_unknown_placeholder_is_told_first(
    ready: InProcess, box: Sandbox, model: Path
) -> None:
    done = ready("push", model, "oss://preflight-sandbox/{step}/", *KNOBS)
    assert done.code == 2
    assert "{digest}" in done.err
    assert box.oss_endpoint.log_calls.count() == 0


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[tuple[Sandbox, threading.Event]]:
    """A sandbox whose latency ends when the event is set, and not sooner."""
    release = threading.Event()

    def hold(_: float) -> None:
        release.wait(120)

    faults = FaultPlan(sleep=hold)
    with Sandbox(
        directory=tmp_path / "box", bases=[importable()], faults=faults
    ) as made:
        yield made, release
        release.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_at_once_and_keeps_the_parts(
    hanging: tuple[Sandbox, threading.Event],
    model: Path,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    """At once: though OSS does not answer the parts that are on their way."""
    box, release = hanging
    box.faults.add(fault("UploadPart", "latency", seconds=1, nth=4, times="always"))
    env = surroundings(box, tmp_path, "home")
    words = command("push", model, DESTINATION, *KNOBS)
    with started(words, env) as process:
        until(lambda: len(box.faults.fired) == WORKERS)
        process.send_signal(number)
        told = ended(process)
    assert told.code == 128 + number
    assert "the same command goes on" in told.err
    assert visible(box) == {}
    release.set()
    box.faults.clear()
    before = sent(box)
    with started(words, env) as process:
        assert ended(process, within=180).code == 0
    assert visible(box) == local(model)
    assert sent(box) - before <= weights(model) - 3 * PART
    assert box.oss.uploads(box.bucket) == []


def test_a_second_run_on_this_machine_is_refused(
    box: Sandbox, model: Path, tmp_path: Path
) -> None:
    env = surroundings(box, tmp_path, "home")
    words = command("push", model, DESTINATION, *KNOBS)
    with started([*words, "--bandwidth-limit", "1K"], env) as first:
        until(lambda: box.oss_endpoint.log_calls.count("ListObjectsV2") > 0)
        refused = run(words, env)
        assert refused.code == 2
        assert str(first.pid) in refused.err


def characters_read() -> int:
    """Bytes that this process has read from files so far."""
    text = Path("/proc/self/io").read_text("ascii")
    return int(text.split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts by /proc")
def test_the_weights_are_read_once(
    tmp_path: Path,
    box: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = InProcess(tmp_path / "home", monkeypatch, capsys).use(box)
    adapter = build_adapter(tmp_path / "adapter", base="qwen3-8b", tiny=True, rank=64)
    size = weights(adapter)
    for prefix in ("warm", "cold", "cold"):  # the first one also imports modules
        before = characters_read()
        url = f"oss://preflight-sandbox/{prefix}/"
        assert run("push", adapter, url, "--poll-interval", "0.05").code == 0
        read = characters_read() - before
        assert prefix == "warm" or size < read <= size + 1_500_000
