"""Several tasks push one model: the whole way, each task as a call of the API."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import preflight
from fixtures.faults import FAULTS
from preflight.errors import (
    AnotherTaskFailed,
    PreflightError,
    RulesFailed,
    TransferError,
    UsageError,
)
from preflight.sandbox import Sandbox
from preflight.together import Asked
from preflight.upload import helper
from preflight.upload.parts import KIB, TransferOptions
from tests.running import InProcess, state_files, tiny_adapter
from tests.sharded import BASE, build_sharded, importable, write_catalog

PART = 100 * KIB
NAN = b"\xff\x7f"  # in BF16
PATIENT = TransferOptions(workers=2, part_size=PART, patience=60.0)
HASTY = TransferOptions(workers=2, part_size=PART, patience=0.5)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("bases"))


@pytest.fixture
def box(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, catalog: Path
) -> Iterator[Sandbox]:
    with Sandbox(bases=[importable()]) as made:
        for name, value in made.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PREFLIGHT_BASES", str(catalog))
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.setattr(helper, "_OVER_FOR", 0.5)
        yield made


@pytest.fixture
def model(box: Sandbox, tmp_path: Path) -> Path:
    del box  # it sets where the base is known from
    return build_sharded(tmp_path / "model")


Push = Callable[..., preflight.PushResult]


@pytest.fixture
def push(box: Sandbox, model: Path) -> Push:
    """One task's push."""

    def call(
        share: str,
        directory: Path = model,
        options: TransferOptions = PATIENT,
        base: str = BASE,
    ) -> preflight.PushResult:
        return preflight.push(
            directory,
            f"oss://{box.bucket}/models/one/",
            share=share,
            base_model=base,
            transfer=options,
            poll_interval=0.05,
        )

    return call


def outcomes(calls: list[Callable[[], preflight.PushResult]]) -> list[object]:
    """What each of several tasks returned or raised, made at the same time."""
    found: list[object] = []
    for each in [Asked(call) for call in calls]:
        try:
            found.append(each.result())
        except PreflightError as error:  # noqa: PERF203 - one for each task
            found.append(error)
    return found


def spoil(model: Path, position: int) -> None:
    """A NaN in the weights laid end to end, at a byte near this one."""
    found = model.glob("*.safetensors")
    for path in sorted(found, key=lambda path: (-path.stat().st_size, path.name)):
        size = path.stat().st_size
        if position < size:
            with path.open("r+b") as file:
                head = 8 + int.from_bytes(file.read(8), "little")
                file.seek(max(position - (position - head) % 2, head))
                file.write(NAN)
            return
        position -= size


def weights(model: Path) -> int:
    return sum(path.stat().st_size for path in model.glob("*.safetensors"))


def test_two_tasks_make_one_import_of_all_files(
    box: Sandbox, model: Path, push: Push
) -> None:
    """Both are on one machine, which keeps two pushes of one task apart."""
    first, second = outcomes([partial(push, "0/2"), partial(push, "1/2")])
    assert isinstance(first, preflight.PushResult), first
    assert isinstance(second, preflight.PushResult), second
    assert first.job is not None
    assert first.job.succeeded
    assert second.job is None
    (job,) = box.studio.jobs()
    assert box.studio.model_is_valid(job.id)
    names = {one.key.rpartition("/")[2] for one in box.oss.objects(box.bucket)}
    assert names == {path.name for path in model.iterdir()}
    sent = [one.to_dict()["upload"]["sent"] for one in (first, second)]
    assert sum(sent) == sum(path.stat().st_size for path in model.iterdir())
    assert abs(sent[0] - sent[1]) < 3 * PART
    again = outcomes([partial(push, "0/2"), partial(push, "1/2")])
    assert not [one for one in again if isinstance(one, PreflightError)], again
    assert len(box.studio.jobs()) == 1
    assert box.oss.uploads(box.bucket) == []


@pytest.mark.parametrize("place", [0, 7, 8, 15])
def test_one_wrong_number_anywhere_is_found_by_its_task_and_ends_all(
    box: Sandbox, model: Path, push: Push, place: int
) -> None:
    """At the ends, and in tensors before and behind the middle, or across it."""
    spoil(model, weights(model) * (2 * place + 1) // 32)
    found = outcomes([partial(push, f"{n}/2") for n in range(2)])
    kinds = [type(error) for error in found]
    assert sorted(kind.__name__ for kind in kinds) == [
        "AnotherTaskFailed",
        "RulesFailed",
    ]
    if place in (0, 15):
        assert kinds[place // 8] is RulesFailed
    assert {one.exit_code for one in found if isinstance(one, PreflightError)} == {1}
    assert box.oss.objects(box.bucket) == []
    assert box.oss.uploads(box.bucket) == []
    assert box.studio.jobs() == ()


def test_parts_that_nobody_judged_do_not_pass_as_judged(
    box: Sandbox, model: Path, push: Push
) -> None:
    """A plain push was killed when it had sent all, before its last word."""
    spoil(model, weights(model) - 1000)
    for path in model.glob("*.safetensors"):
        upload = box.oss.initiate(box.bucket, f"models/one/{path.name}")
        data = path.read_bytes()
        for number, at in enumerate(range(0, len(data), PART), 1):
            piece = data[at : at + PART]
            box.oss.put_part(box.bucket, upload.key, upload.id, number, [piece])
    found = outcomes([partial(push, f"{n}/3") for n in range(3)])
    assert isinstance(found[0], AnotherTaskFailed), found
    assert isinstance(found[2], RulesFailed), found
    assert box.oss.objects(box.bucket) == []
    assert box.oss.uploads(box.bucket) == []


def test_of_an_adapter_every_task_judges_all(
    box: Sandbox, push: Push, tmp_path: Path
) -> None:
    """That all of lora_B is zero no task could say of its share alone."""
    adapter = tiny_adapter(tmp_path / "adapter")
    FAULTS["b-all-zero"].apply(adapter)
    calls = [partial(push, f"{n}/2", adapter, base="qwen3-8b") for n in range(2)]
    for error in outcomes([*calls]):
        assert isinstance(error, (RulesFailed, AnotherTaskFailed)), error
    assert box.oss.objects(box.bucket) == []
    assert box.oss.uploads(box.bucket) == []


def test_one_task_alone_ends_in_a_sentence_or_does_it_all(
    box: Sandbox, push: Push
) -> None:
    with pytest.raises(TransferError, match="task 0 of 2 did not begin"):
        push("1/2", options=HASTY)
    assert box.oss.objects(box.bucket) == []
    result = push("0/2", options=HASTY)
    assert result.job is not None
    assert result.job.succeeded
    assert box.oss.uploads(box.bucket) == []


def test_tasks_that_share_repair_nothing(model: Path) -> None:
    with pytest.raises(UsageError, match="cannot repair") as caught:
        preflight.push(model, "oss://bucket/p/", share="0/2", fix=True)
    assert "preflight fix" in caught.value.hint


def test_the_command_line_tells_and_keeps_which_task_it_was(
    model: Path,
    box: Sandbox,
    catalog: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = InProcess(tmp_path / "home", monkeypatch, capsys)
    run.use(box, PREFLIGHT_BASES=str(catalog))
    url = f"oss://{box.bucket}/models/one/"
    words = ("push", model, url, "--base-model", BASE, "--poll-interval", "0.05")
    outside = run(*words, "--share")
    assert outside.code == 2
    assert "--task 0/2" in outside.err
    assert run(*words, "--task", "2/2").code == 2
    assert run(*words, "--task", "0/2", "--sandbox").code == 2
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    late = run(*words, "--share", "--patience", "0.2")
    assert late.code == TransferError.exit_code
    assert "start all tasks with the same command" in late.err
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    alone = run(*words, "--share")
    assert alone.code == 0, alone.err
    assert "one task alone" in alone.err
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    done = run(*words, "--share", "--patience", "0.2")
    assert done.code == 0, done.err
    assert "SHARE UPLOADED" in done.out
    documents = [json.loads(path.read_text("utf-8")) for path in state_files(run.home)]
    assert documents[-1]["task"] == {"rank": 1, "count": 2}
    assert "task 1/2" in run("status", "--offline").out
    assert os.environ["RANK"] == "1"
