"""preflight for programs: what `preflight/__init__.py` promises."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import preflight
from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from preflight.sandbox import Sandbox
from tests.running import command, environment, run, run_script, tiny_adapter


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "adapter")


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    with Sandbox() as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        yield made


def test_every_promised_name_is_there_and_documented() -> None:
    for name in preflight.__all__:
        value = getattr(preflight, name)
        assert name in dir(preflight)
        assert name == "__version__" or value.__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = preflight.nothing


def test_importing_it_loads_nothing_else() -> None:
    script = (
        "import sys; import preflight;"
        "print([n for n in sys.modules if n.startswith('preflight.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_check_that_passes(adapter: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = preflight.check(adapter)
    assert report.ok
    assert report.errors == report.warnings == ()
    report.raise_for_errors()
    assert capsys.readouterr() == ("", "")


def test_a_check_that_fails(adapter: Path) -> None:
    FAULTS["rank-128"].apply(adapter)
    report = preflight.check(str(adapter), strict=True)
    assert not report.ok
    assert "C02" in {outcome.code for outcome in report.errors}
    with pytest.raises(preflight.RulesFailed):
        report.raise_for_errors()


def test_the_document_is_the_command_lines(adapter: Path, tmp_path: Path) -> None:
    mine = preflight.check(adapter).to_dict()
    words = command("check", adapter, "--format", "json")
    theirs = run(words, environment(tmp_path / "home")).document
    for each in (mine, theirs):
        each.pop("started")
        each.pop("seconds")
    assert mine == theirs


def test_what_cannot_be_asked_raises(tmp_path: Path) -> None:
    with pytest.raises(preflight.UsageError, match="no such directory"):
        preflight.check(tmp_path / "gone")
    with pytest.raises(preflight.UsageError, match="there is no rule"):
        preflight.check(tmp_path, select=["Z99"])


def test_a_push_tells_what_it_did_and_how_far_it_is(
    adapter: Path, box: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[preflight.Progressed] = []
    result = preflight.push(
        adapter,
        f"oss://{box.bucket}/models/{{name}}/",
        poll_interval=0.01,
        on_progress=told.append,
    )
    assert result.destination == f"oss://{box.bucket}/models/adapter/"
    assert result.job is not None
    assert result.model_name == result.job.model_name != ""
    assert result.to_dict()["upload"]["verified"]
    assert (told[0].done, told[-1].done) == (0, told[-1].total)
    assert capsys.readouterr() == ("", "")


def test_a_push_of_a_broken_directory_leaves_nothing(
    adapter: Path, box: Sandbox
) -> None:
    FAULTS["nan-last"].apply(adapter)
    with pytest.raises(preflight.RulesFailed):
        preflight.push(adapter, f"oss://{box.bucket}/models/one/")
    assert list(box.oss.objects(box.bucket)) == []


def test_a_dry_run_asks_no_service(adapter: Path) -> None:
    result = preflight.push(adapter, "oss://bucket/models/{base}/", dry_run=True)
    assert result.destination == "oss://bucket/models/qwen3-8b/"
    assert (result.job, result.model_name) == (None, "")


def test_threads_do_not_meet(tmp_path: Path) -> None:
    good, bad = tiny_adapter(tmp_path / "good"), tiny_adapter(tmp_path / "bad")
    FAULTS["rank-128"].apply(bad)
    found: dict[Path, set[bool]] = {good: set(), bad: set()}

    def work(directory: Path) -> None:
        for _ in range(5):
            found[directory].add(preflight.check(directory).ok)

    threads = [threading.Thread(target=work, args=(one,)) for one in (good, bad)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {good: {True}, bad: {False}}


def test_an_error_says_what_and_what_to_do(adapter: Path) -> None:
    FAULTS["rank-128"].apply(adapter)
    report = preflight.check(adapter)
    with pytest.raises(preflight.RulesFailed) as caught:
        report.raise_for_errors()
    error = caught.value
    assert error.code == "rules-failed"
    assert error.outcomes == report.errors
    assert "C02" in str(error)
    assert "128" in error.what
    assert error.fix == "\n".join(dict.fromkeys(o.fix for o in report.errors))


def test_a_report_shows_itself(adapter: Path) -> None:
    report = preflight.check(adapter)
    assert "READY" in str(report)
    assert "READY" in report._repr_html_()
    FAULTS["rank-128"].apply(adapter)
    (adapter / "<script>alert(1)<").mkdir()
    shown = preflight.check(adapter)._repr_html_()
    assert "NOT READY" in shown
    assert "C02" in shown
    assert "<script" not in shown


def test_the_jobs_of_the_workspace(adapter: Path, box: Sandbox) -> None:
    url = f"oss://{box.bucket}/models/one/"
    pushed = preflight.push(adapter, url, poll_interval=0.01)
    assert pushed.job is not None
    job = preflight.jobs.get(pushed.job.job_id[:8])
    (listed,) = preflight.jobs.list(status="succeeded")
    assert listed.job_id == job.job_id
    assert preflight.jobs.list(status="failed", limit=3) == ()
    assert preflight.jobs.wait(job.job_id, poll_interval=0.01).succeeded
    call = preflight.jobs.deployment_call(job, suffix="b2")
    assert call == pushed.deployment_call(suffix="b2")
    assert call.url == f"{box.studio_url}/deployments"
    assert call.body["name"] == job.display_name
    assert preflight.jobs.delete(job.job_id).succeeded
    with pytest.raises(preflight.ImportFailed, match="no job"):
        preflight.jobs.get(job.job_id)


def test_a_job_that_fails_raises(adapter: Path, box: Sandbox) -> None:
    pushed = preflight.push(adapter, f"oss://{box.bucket}/m/one/", wait=False)
    assert pushed.job is not None
    for key in [one.key for one in box.oss.objects(box.bucket)]:
        box.oss.delete(box.bucket, key)
    with pytest.raises(preflight.ImportFailed) as caught:
        preflight.jobs.wait(pushed.job.job_id, poll_interval=0.01)
    assert caught.value.fix
    with pytest.raises(preflight.UsageError, match="no model was imported"):
        pushed.deployment_call()


def test_nothing_of_the_process_changes(
    adapter: Path, box: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two pushes in two threads by relative names, while the program goes elsewhere."""
    monkeypatch.chdir(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = tiny_adapter(tmp_path / "other")
    signals = [signal.getsignal(each) for each in signal.valid_signals()]
    before = (dict(os.environ), logging.getLogger().handlers[:], signals)
    ready, results = threading.Barrier(2), {}

    def go_away(_: preflight.Progressed) -> None:
        os.chdir(elsewhere)

    def work(name: str) -> None:
        ready.wait()
        url = f"oss://{box.bucket}/m/{name}/"
        results[name] = preflight.push(
            name, url, poll_interval=0.01, on_progress=go_away
        )

    names = (adapter.name, other.name)
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {r.model_name for r in results.values()} == {
        job.model_name for job in box.studio.jobs()
    }
    assert len(results) == 2
    signals = [signal.getsignal(each) for each in signal.valid_signals()]
    assert before == (dict(os.environ), logging.getLogger().handlers[:], signals)


INTERRUPTED = """
import asyncio, sys, _thread
import preflight

async def cell():
    # As in a notebook: a loop runs already, and Ctrl-C arrives in the main thread.
    pressed = []
    def stop(told):
        if told.stage == "uploading" and told.done >= 3 << 20 and not pressed:
            pressed.append(True)
            _thread.interrupt_main()
    slow = preflight.TransferOptions(bandwidth=8 << 20, part_size=1 << 20, workers=1)
    try:
        preflight.push(*sys.argv[1:], transfer=slow, on_progress=stop)
    except KeyboardInterrupt:
        pass
    else:
        raise SystemExit("nothing was interrupted")
    again = preflight.push(*sys.argv[1:], poll_interval=0.01)
    whole = sum(f["size"] for f in again.to_dict()["upload"]["files"])
    assert again.job.succeeded
    assert again.to_dict()["upload"]["sent"] < whole - (2 << 20)

asyncio.new_event_loop().run_until_complete(cell())
"""


def test_ctrl_c_in_a_running_loop_keeps_the_parts(tmp_path: Path, box: Sandbox) -> None:
    big = build_adapter(tmp_path / "big", base="qwen3-8b", tiny=True, rank=64)
    env = environment(tmp_path / "home", box.environment())
    url = f"oss://{box.bucket}/m/big/"
    done = run_script(INTERRUPTED, env, big, url)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert len(box.studio.jobs()) == 1


def test_what_is_logged_is_the_programs_own_affair(
    adapter: Path, box: Sandbox, tmp_path: Path
) -> None:
    """A warning, here of a lock that cannot be had, is no output of ours."""
    script = "import sys, preflight;preflight.push(*sys.argv[1:], poll_interval=0.01)"
    env = environment(tmp_path / "home", box.environment())
    env["HOME"] = ""
    done = run_script(script, env, adapter, f"oss://{box.bucket}/m/one/")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_importing_it_costs_next_to_nothing() -> None:
    """A module of its own, and a few that most programs have loaded already."""
    script = "import sys; before = set(sys.modules); import preflight; print"
    words = [sys.executable, "-c", f"{script}(*set(sys.modules) - before)"]
    loaded = subprocess.check_output(words, text=True).split()
    assert [name for name in loaded if name.partition(".")[0] == "preflight"] == [
        "preflight"
    ]
    assert {name.partition(".")[0] for name in loaded} < {*sys.stdlib_module_names} | {
        "preflight"
    }
    assert len(loaded) < 12
