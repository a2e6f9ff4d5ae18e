"""The callback, called as real trainers were seen to call it (`recorded.json`)."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import preflight
from fixtures.faults import FAULTS
from preflight.integrations.transformers import PreflightCallback
from preflight.sandbox import Sandbox
from tests.running import tiny_adapter

RECORDED: dict[str, Any] = json.loads(
    Path(__file__).with_name("recorded.json").read_text("utf-8")
)
EVENTS = RECORDED["transformers-5"]["events"]
TOKENIZER = ("token", "vocab", "merges", "chat_template")  # none, rather than another's


@pytest.fixture
def box(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return sandbox


@pytest.fixture
def words() -> Iterator[list[str]]:
    """What is told by the logger of transformers."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield told
    logger.removeHandler(handler)


def save(run: Path, name: str, library: str = "transformers-5") -> Path:
    """A checkpoint with all files that the library leaves beside the weights."""
    checkpoint = tiny_adapter(run / name)
    for file in RECORDED[library]["files"]:
        path = checkpoint / file
        if not path.exists() and not file.startswith(TOKENIZER):
            path.write_text("{}" if file.endswith(".json") else "\n")
    return checkpoint


def call(callback: PreflightCallback, event: dict[str, Any], run: Path) -> Any:  # noqa: ANN401
    """One call as it is on record, from the run's own directory; the control."""
    args = SimpleNamespace(**{**event["args"], "output_dir": str(run)})
    state, control = SimpleNamespace(**event["state"]), SimpleNamespace()
    control.should_training_stop = False
    others = dict.fromkeys(event["others"])
    assert getattr(callback, event["event"])(args, state, control, **others) is control
    return control


def changed(event: dict[str, Any], part: str, **values: object) -> dict[str, Any]:
    return {**event, part: {**event[part], **values}}


@pytest.mark.parametrize("library", RECORDED)
def test_what_a_library_saves_is_judged_and_pushed(
    library: str, box: Sandbox, tmp_path: Path
) -> None:
    url = f"oss://{box.bucket}/models/{{name}}/"
    callback = PreflightCallback(url)
    events = RECORDED[library]["events"] or EVENTS
    for event in events:
        if event["event"] == "on_save":
            save(
                tmp_path / "run", f"checkpoint-{event['state']['global_step']}", library
            )
        assert not call(callback, event, tmp_path / "run").should_training_stop
    assert callback.report is not None
    assert callback.report.ok
    assert callback.error is None
    assert callback.result is not None
    (job,) = box.studio.jobs()
    step = events[-1]["state"]["global_step"]
    assert callback.result.destination == f"oss://{box.bucket}/models/run-{step}/"
    assert job.display_name == f"run-{step}"


def test_a_nan_stops_the_training_and_says_where(
    tmp_path: Path, words: list[str]
) -> None:
    step = EVENTS[0]["state"]["global_step"]
    FAULTS["nan-last"].apply(save(tmp_path, f"checkpoint-{step}"))
    assert call(PreflightCallback(), EVENTS[0], tmp_path).should_training_stop
    assert "S10 adapter-values-finite" in words[0]
    assert "fix: " in words[0]
    assert words[1] == f"training stops at step {step}"
    warns = PreflightCallback(on_failure="warn")
    assert not call(warns, EVENTS[0], tmp_path).should_training_stop
    with pytest.raises(preflight.RulesFailed, match="S10"):
        call(PreflightCallback(on_failure="raise"), EVENTS[0], tmp_path)
    blind = PreflightCallback(scan=False)
    assert not call(blind, EVENTS[0], tmp_path).should_training_stop


def test_what_lacks_beside_the_weights_stops_nothing(
    tmp_path: Path, words: list[str]
) -> None:
    step = EVENTS[0]["state"]["global_step"]
    checkpoint = save(tmp_path, f"checkpoint-{step}")
    (checkpoint / "config.json").touch()
    assert not call(PreflightCallback(), EVENTS[0], tmp_path).should_training_stop
    assert "would not import" in words[0]
    assert "D13" in words[0]


def test_only_the_first_process_looks_and_pushes(box: Sandbox, tmp_path: Path) -> None:
    callback = PreflightCallback(f"oss://{box.bucket}/m/{{name}}/")
    for event in EVENTS:
        other = changed(event, "state", is_world_process_zero=False)
        call(callback, other, tmp_path / "nothing is here")
    assert (callback.report, callback.result, callback.error) == (None, None, None)


def test_the_best_checkpoint_is_pushed_where_it_is_loaded(
    box: Sandbox, tmp_path: Path
) -> None:
    best = save(tmp_path, "checkpoint-2")
    save(tmp_path, f"checkpoint-{EVENTS[-1]['state']['global_step']}")
    callback = PreflightCallback(f"oss://{box.bucket}/m/{{name}}/")
    end = changed(EVENTS[-1], "state", best_model_checkpoint=str(best))
    call(callback, changed(end, "args", load_best_model_at_end=True), tmp_path)
    assert callback.result is not None
    assert callback.result.destination.endswith("-2/")


@pytest.mark.parametrize("way", ["nothing was saved", "no such bucket", "NaN"])
def test_a_push_that_fails_is_told_and_raises_only_if_asked(
    way: str, box: Sandbox, tmp_path: Path, words: list[str]
) -> None:
    bucket = "another-bucket" if way == "no such bucket" else box.bucket

    def run(on_failure: str) -> PreflightCallback:
        url = f"oss://{bucket}/m/{{name}}/"
        callback = PreflightCallback(url, on_failure=on_failure)
        if way != "nothing was saved":
            step = EVENTS[-1]["state"]["global_step"]
            callback.checkpoint = tmp_path / f"checkpoint-{step}"
        call(callback, EVENTS[-1], tmp_path)
        return callback

    if way != "nothing was saved":
        made = save(tmp_path, f"checkpoint-{EVENTS[-1]['state']['global_step']}")
        if way == "NaN":
            FAULTS["nan-last"].apply(made)
    callback = run("stop")
    assert isinstance(callback.error, preflight.PreflightError)
    assert "was not imported" in words[-1]
    with pytest.raises(preflight.PreflightError):
        run("raise")
    assert not box.studio.jobs()


def test_a_directory_that_cannot_be_read_stops_nothing(
    tmp_path: Path, words: list[str]
) -> None:
    assert not call(PreflightCallback(), EVENTS[0], tmp_path).should_training_stop
    assert "could not be checked" in words[0]


def test_a_destination_that_is_none_is_told_before_the_training() -> None:
    with pytest.raises(preflight.UsageError):
        PreflightCallback("s3://bucket/prefix/")
