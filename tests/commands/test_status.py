"""`status`: what became of the last runs, told from their records."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixtures.adapters import build_adapter
from preflight.process import ProcessMark, is_running, this_process
from preflight.report.life import Life, LifeState
from preflight.sandbox import Sandbox
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

QUICK = ("--poll-interval", "0.02")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


@pytest.fixture
def preflight(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sandbox: Sandbox,
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)


def place(sandbox: Sandbox) -> str:
    return f"oss://{sandbox.bucket}/models/one/"


def test_no_run_is_on_record(preflight: InProcess, tmp_path: Path) -> None:
    assert (preflight("status").code, preflight("status", tmp_path).code) == (2, 2)


def test_the_newest_run_in_a_sentence_the_others_in_a_table(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "one")
    assert preflight("push", adapter, place(sandbox), *QUICK).code == 0
    assert "ended well" in preflight("status").out
    sandbox.oss.set_tags(sandbox.bucket, {})
    words = ("push", adapter, place(sandbox), *QUICK)
    assert preflight(*words).code == 2
    assert len(state_files(preflight.home)) == 2
    lines = preflight("status", adapter).out.splitlines()
    assert lines[0].split()[-5:] == ["command", "state", "exit", "model", "directory"]
    assert lines[1].split()[2:5] == ["push", "done", "0"]
    assert lines[3].startswith(f"push of {adapter} failed (exit 2), ")
    assert lines[4].startswith("  it ended with: the tag")
    assert lines[5].startswith("  try  ")
    assert lines[6] == f"next  preflight {' '.join(map(str, words))}"
    assert preflight("status", tmp_path / "other").code == 2
    runs = json.loads(preflight("status", "--format", "json").out)["runs"]
    assert [each["exit_code"] for each in runs] == [2, 0]
    assert [each["state"] for each in runs] == ["failed", "done"]


def test_an_open_job_is_asked_for_once(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "one")
    sandbox.studio.policy.job_seconds = 3600.0
    assert preflight("push", adapter, place(sandbox), "--timeout", "0").code == 8
    (job,) = sandbox.studio.jobs()
    still = preflight("status").out
    assert still.count(f"preflight wait {job.id}") == 1
    sandbox.studio.policy.job_seconds = 0.0
    told = f"job {job.id}: succeeded now, model {job.model_name}"
    until(lambda: told in preflight("status").out)
    assert "preflight wait" not in preflight("status").out.partition(told)[2]
    offline = preflight("status", "--offline").out
    assert "SUCCESSED" not in offline
    document = json.loads(preflight("status", "--format", "json").out)
    assert document["runs"][0]["job_now"]["status"] == "SUCCESSED"


def test_a_service_that_does_not_answer_is_no_failure_of_status(
    preflight: InProcess,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = tiny_adapter(tmp_path / "one")
    sandbox.studio.policy.job_seconds = 3600.0
    assert preflight("push", adapter, place(sandbox), "--timeout", "0").code == 8
    monkeypatch.delenv("DASHSCOPE_API_KEY")
    done = preflight("status")
    assert done.code == 0
    assert "the job could not be asked for: not set: DASHSCOPE_API_KEY" in done.out


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """An adapter that takes ten seconds and more at the limit that `pushing` sets."""
    return build_adapter(tmp_path / "slow", base="qwen3-8b", tiny=True, rank=64)


def pushing(sandbox: Sandbox, adapter: Path) -> list[str]:
    slowly = ("--bandwidth-limit", "512K", "--part-size", "100K", "--workers", "1")
    return command("push", adapter, place(sandbox), *slowly, *QUICK)


def has_moved(home: Path) -> bool:
    for path in state_files(home):
        progress = json.loads(path.read_text("utf-8"))["run"]["progress"]
        if progress and progress["stage"] == "uploading" and progress["done"]:
            return True
    return False


def test_a_run_that_goes_on_and_then_is_killed(
    sandbox: Sandbox, slow: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    env = environment(home, sandbox.environment())
    with started(pushing(sandbox, slow), env) as process:
        until(lambda: has_moved(home))
        alive = run(command("status"), env).out
        assert f"is still running, pid {process.pid}, in upload; " in alive
        process.send_signal(signal.SIGKILL)
        process.wait()
    dead = run(command("status"), env).out.splitlines()
    assert "was killed in upload, last heard of " in dead[0]
    assert "are safe in OSS (" in dead[0]
    again = shlex.join(pushing(sandbox, slow)[3:])
    assert dead[-1] == f"next  preflight {again}"


def test_a_terminal_that_goes_away_leaves_the_parts_and_a_record(
    sandbox: Sandbox, slow: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    env = environment(home, sandbox.environment())
    with started(pushing(sandbox, slow), env) as process:
        until(lambda: has_moved(home))
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=60) == 143
    told = run(command("status"), env).out
    assert "failed (exit 143)" in told
    assert "are safe in OSS" in told


def kept(**run: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"command": "push", "directory": "d", "exit_code": 0, "run": run}


def test_a_record_of_an_older_release_has_ended() -> None:
    assert Life.of({"command": "push", "exit_code": 0}).state is LifeState.DONE
    assert Life.of({"command": "push", "exit_code": 5}).state is LifeState.FAILED
    assert "unknown time" in Life.of({"exit_code": 5}).headline()


@pytest.mark.parametrize(
    ("run", "state"),
    [
        ({"ended": False, "pid": "x", "host": "h"}, LifeState.UNKNOWN),
        ({"ended": False}, LifeState.UNKNOWN),
        ({"ended": False, "pid": 1, "host": "another"}, LifeState.UNKNOWN),
        ({"ended": False, "progress": [], "argv": 5}, LifeState.UNKNOWN),
        ({"ended": True}, LifeState.DONE),
    ],
)
def test_what_a_record_does_not_tell_is_not_made_up(
    run: dict[str, Any], state: LifeState
) -> None:
    life = Life.of(kept(**run))
    assert life.state is state
    assert life.headline()


def test_a_number_that_another_process_has_now_is_not_the_run() -> None:
    mark = this_process()
    assert is_running(mark) is True
    if mark.born:
        assert is_running(ProcessMark(mark.pid, mark.host, "another boot/1")) is False
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert is_running(ProcessMark(ended.pid, mark.host)) is False
    assert is_running(ProcessMark(mark.pid, "another machine")) is None


def cut_short(whole: bytes) -> dict[str, bytes]:
    """What journalling file systems leave of a file after a loss of power."""
    return {
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "zero-filled": bytes(len(whole)),
        "a page and zeros": whole[:4096].ljust(8192, b"\0"),
        "half a character": whole[:20] + b"\xe2\x82",
        "no object": b"[1, 2]",
        "too deep": b"[" * 100_000,
    }


def test_records_that_a_loss_of_power_cut_stop_no_command(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "one")
    words = ("push", adapter, place(sandbox), *QUICK)
    assert preflight(*words).code == 0
    (record,) = state_files(preflight.home)
    holders = list((preflight.home / ".local/state/preflight/locks").iterdir())
    assert holders
    for how, content in cut_short(record.read_bytes()).items():
        for path in (record, *holders):
            path.write_bytes(content)
        told = preflight("status")
        assert told.code == 2, how
        assert f"1 record cannot be read, perhaps cut short by a crash: {record}" in (
            told.err
        )
        assert "go on" in told.told()[1] or "goes on" in told.told()[1]
        assert preflight(*words).code == 0, how
        shown = preflight("status")
        assert shown.code == 0
        assert "ended well" in shown.out
        assert "1 record cannot be read" in shown.err
        document = json.loads(preflight("status", "--format", "json").out)
        assert document["unreadable"] == [str(record)]
        for newer in state_files(preflight.home)[1:]:
            newer.unlink()


STRANGE: list[Any] = [None, 7, -1e300, "x", [], [[]], {}, {"x": {}}, True]


def test_a_record_whose_fields_are_of_other_kinds_stops_no_command(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Another release wrote it, or a person edited it."""
    adapter = tiny_adapter(tmp_path / "one")
    assert preflight("push", adapter, place(sandbox), *QUICK).code == 0
    (record,) = state_files(preflight.home)
    whole = json.loads(record.read_text("utf-8"))
    fields = [(whole, name) for name in whole]
    fields += [(whole["run"], name) for name in whole["run"]]
    fields += [(whole["job"], name) for name in whole["job"]]
    for owner, name in fields:
        before = owner[name]
        for strange in STRANGE:
            owner[name] = strange
            record.write_text(json.dumps(whole), "utf-8")
            done = preflight("status", "--offline")
            assert done.code == 0, (name, strange, done.err)
        owner[name] = before
