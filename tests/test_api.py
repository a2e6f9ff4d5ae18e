"""preflight for programs: what `preflight/__init__.py` promises."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import preflight
from fixtures.faults import FAULTS
from preflight.sandbox import Sandbox
from tests.running import command, environment, run, tiny_adapter


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
