"""`fix` as its users see it, and what check, push and explain say of it."""

from __future__ import annotations

import json
from pathlib import Path

import oss2
import pytest

from fixtures.faults import FAULTS
from preflight.report.schemas import load_schema
from preflight.sandbox import Sandbox
from tests.repair.effect import raw_tensors, snapshot
from tests.running import (
    InProcess,
    command,
    environment,
    run,
    started,
    tiny_adapter,
    until,
)

WEIGHTS = "adapter_model.safetensors"
SOON = ("--poll-interval", "0.02")
QUIET = ("--progress", "off")  # a slow machine would tell how far it is


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    directory = tiny_adapter(tmp_path / "adapter", rank=12)
    for name in ("orig-mod", "template-tokenizer-config"):
        FAULTS[name].apply(directory)
    return directory


def test_what_it_says(preflight: InProcess, broken: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = preflight("fix", broken, "-o", new, *QUIET)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "repair  key-names"
    assert f"made {new}" in lines
    assert "repair  one-rank-and-scale" in lines
    assert "  r 12 becomes 16, lora_alpha 24 becomes 32" in lines
    assert "✔ READY" in lines[-2]
    assert lines[-1].startswith(f"next  preflight push {new} oss://")
    again = preflight("fix", broken, "-o", new, *QUIET)
    assert again.code == 0


def test_the_plan_alone(preflight: InProcess, broken: Path, tmp_path: Path) -> None:
    done = preflight("fix", broken, "-n", *QUIET)
    assert (done.code, done.err) == (0, "")
    assert "repair  key-names" in done.out
    assert "nothing was made" in done.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "home"]


def test_its_document_keeps_the_schema(
    preflight: InProcess, broken: Path, tmp_path: Path
) -> None:
    from jsonschema import Draft202012Validator

    schema = Draft202012Validator(load_schema("document"))
    for words in (["-n"], ["-o", tmp_path / "new"]):
        document = preflight("fix", broken, *words, "--format", "json").document
        schema.validate(document)
        assert document["command"] == "fix"
    assert document["directory"] == str(tmp_path / "new")
    assert document["repair"]["source"] == str(broken)
    assert document["repair"]["written"] is True
    assert all(step["lossless"] for step in document["repair"]["steps"])


def test_what_is_asked_wrongly(
    preflight: InProcess, broken: Path, tmp_path: Path
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for words, told in (
        ([], "no directory was given to make"),
        (["-o", broken], "cannot be the one that is repaired"),
        (["-o", broken / "new"], "never written"),
        (["-o", tmp_path / "full"], "is not empty"),
    ):
        done = preflight("fix", broken, *words)
        assert done.code == 2
        assert told in done.told()[0]
    assert preflight("fix", tmp_path / "none", "-o", tmp_path / "new").code == 2
    forced = preflight("fix", broken, "-o", tmp_path / "full", "--force")
    assert forced.code == 0
    assert not (tmp_path / "full" / "file").exists()


def test_what_is_left_is_told_and_made_only_where_that_is_wanted(
    preflight: InProcess, broken: Path, tmp_path: Path
) -> None:
    FAULTS["nan-last"].apply(broken)
    new = tmp_path / "new"
    done = preflight("fix", broken, "-o", new, *QUIET)
    assert done.code == 1
    assert "error S10 adapter-values-finite" in done.out
    assert "nothing was made" in done.out
    assert not new.exists()
    partial = preflight("fix", broken, "-o", new, "--partial")
    assert partial.code == 1
    assert (new / WEIGHTS).exists()


def test_the_loss_is_measured_and_told(tmp_path: Path) -> None:
    """In a process of its own, whose linear algebra has one thread."""
    directory = tiny_adapter(tmp_path / "adapter", rank=128, targets=["k_proj"])
    home, new = environment(tmp_path / "home"), tmp_path / "new"
    refused = run(command("fix", directory, "-o", new), home)
    assert refused.code == 1
    assert "a rank above 64" in refused.out
    words = command("fix", directory, "-o", new, "--reduce-rank", *QUIET)
    losses = run([*words, "--format", "json"], home).document["repair"]["losses"]
    assert len(losses) == 2
    assert all(1e-8 < loss < 1 for loss in losses.values())
    again = run(words, home)  # what lies there is the same to the last byte
    assert again.code == 0
    assert f"loss  {max(losses.values()):.3g} of the norm at most" in again.out


def test_check_names_it_where_it_will_do(
    preflight: InProcess, broken: Path, tmp_path: Path
) -> None:
    done = preflight("check", broken)
    assert done.code == 1
    assert f"next  preflight fix {broken} -o {broken}-fixed" in done.out
    FAULTS["nan-last"].apply(broken)
    other = preflight("check", broken)
    assert "preflight fix" not in other.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "home"]


def test_explain_names_the_repairs_of_a_rule(preflight: InProcess) -> None:
    assert "Repair (preflight fix): " in preflight("explain", "K01").out
    page = preflight("explain", "C02").out
    assert "Repair (preflight fix --reduce-rank, at a loss that is measured): " in page
    assert "Repair" not in preflight("explain", "S10").out
    found = preflight("explain", "K01", "--format", "json").document
    named = [each["name"] for each in found["rules"][0]["repairs"]]
    assert "key-names" in named


# On the way


def test_a_push_repairs_on_its_way(
    preflight: InProcess, broken: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    before = snapshot(broken)
    preflight.use(sandbox)
    where = f"oss://{sandbox.bucket}/models/mine/"
    assert preflight("push", broken, where, "-q").code == 1
    words = ("push", broken, where, "--fix", "--format", "json", *SOON)
    done = preflight(*words)
    assert done.code == 0, done.err
    document = done.document
    assert document["job"]["state"] == "succeeded"
    assert any("key-names" in note for note in document["notes"])
    assert preflight("fix", broken, "-o", tmp_path / "new", "-q").code == 0
    sent = {each["key"].rpartition("/")[2] for each in document["upload"]["files"]}
    assert sent - {"config.json"} == {p.name for p in (tmp_path / "new").iterdir()}
    # Nothing of it stays, and a second push finds the same bytes.
    cache = tmp_path / "home" / ".cache" / "preflight"
    assert list(cache.iterdir()) == []
    again = preflight(*words).document
    assert again["upload"]["sent"] == 0
    assert snapshot(broken) == before


def test_a_push_that_was_killed_goes_on_with_the_same_bytes(
    preflight: InProcess, broken: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    where = f"oss://{sandbox.bucket}/models/mine/"
    part = 100 << 10
    words = ("push", broken, where, "--fix", "--part-size", "100K", "--workers", 2)
    home = tmp_path / "home"

    def sent() -> int:
        return sandbox.oss_endpoint.log_calls.bytes_received("UploadPart")

    slow = command(*words, "--bandwidth-limit", "300K", *QUIET)
    with started(slow, environment(home, sandbox.environment())) as process:
        until(lambda: sent() >= 4 * part)
        process.kill()
    done = preflight.use(sandbox)(*words, "--format", "json", *QUIET, *SOON)
    assert done.code == 0, done.err
    uploaded = done.document["upload"]
    # Of the parts that came in at most the two under way were sent again.
    everything = sum(each["size"] for each in uploaded["files"])
    assert uploaded["sent"] <= everything - 2 * part
    assert list((home / ".cache" / "preflight").iterdir()) == []
    # What two processes made and sent is what one of them makes in peace.
    assert preflight("fix", broken, "-o", tmp_path / "new", "-q").code == 0
    bucket = bucket_of(sandbox)
    assert WEIGHTS in {each["key"].rpartition("/")[2] for each in uploaded["files"]}
    for path in (tmp_path / "new").iterdir():
        assert bucket.get_object(f"models/mine/{path.name}").read() == path.read_bytes()


def bucket_of(sandbox: Sandbox) -> oss2.Bucket:
    values = sandbox.environment()
    auth = oss2.AuthV4(values["OSS_ACCESS_KEY_ID"], values["OSS_ACCESS_KEY_SECRET"])
    return oss2.Bucket(
        auth, values["OSS_ENDPOINT"], sandbox.bucket, region=values["OSS_REGION"]
    )


def test_a_disk_without_room_is_told_before_anything_is_written(
    preflight: InProcess,
    broken: Path,
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preflight.use(sandbox)
    where = f"oss://{sandbox.bucket}/models/mine/"
    monkeypatch.setattr("preflight.repair.run.free_bytes", lambda _: 1000)
    for words, hint in (
        (("fix", broken, "-o", tmp_path / "new"), "give -o a directory"),
        (("push", broken, where, "--fix"), "set XDG_CACHE_HOME"),
    ):
        done = preflight(*words, *QUIET)
        assert done.code == 2
        assert "there is room for 1" in done.told()[0]
        assert hint in done.err
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "home" / ".cache" / "preflight").iterdir())


def test_a_good_directory_is_pushed_as_it_is(
    preflight: InProcess, tmp_path: Path, sandbox: Sandbox
) -> None:
    directory = tiny_adapter(tmp_path / "adapter")
    preflight.use(sandbox)
    where = f"oss://{sandbox.bucket}/models/mine/"
    done = preflight("push", directory, where, "--fix", "--format", "json", *SOON)
    assert done.code == 0
    assert not any("repaired" in note for note in done.document.get("notes", []))


def test_a_push_that_hides_trained_weights_is_refused(
    preflight: InProcess, broken: Path, sandbox: Sandbox
) -> None:
    FAULTS["beside-tower"].apply(broken)
    preflight.use(sandbox)
    where = f"oss://{sandbox.bucket}/models/mine/"
    done = preflight("push", broken, where, "--fix", "--format", "json")
    assert done.code == 1
    failed = [o["code"] for o in done.document["outcomes"] if o["result"] == "failed"]
    assert "D19" in failed
    assert json.dumps(done.document).count("repaired on the way") == 0
    assert raw_tensors(broken / WEIGHTS)
