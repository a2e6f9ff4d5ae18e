"""Ctrl-C and SIGTERM in each stage of a push, and the same command once more."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault, FaultPlan
from tests.launcher import launcher
from tests.running import (
    ROOT,
    assert_contract,
    command,
    ended,
    environment,
    run,
    started,
    state_files,
    tiny_adapter,
    until,
)

HOLDING = ROOT / "tests/holding.py"
SIGNALS = pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "terminated"),
    ],
    ids=["int", "term"],
)


class Gate:
    """Where calls wait: from the moment `is_time` says so until `go_on` is set."""

    def __init__(self) -> None:
        self.go_on, self.held = threading.Event(), threading.Event()
        self.is_time: Callable[[], bool] = lambda: True

    def sleep(self, seconds: float) -> None:
        """What the sandbox's faults do instead of sleeping."""
        if self.is_time():
            self.held.set()
            self.go_on.wait(seconds)


@dataclass(frozen=True, slots=True)
class Stage:
    """A push to a sandbox that holds calls at a gate."""

    box: Sandbox
    gate: Gate
    home: Path
    adapter: Path

    @property
    def words(self) -> list[str]:
        """The arguments of the push that is interrupted and run again."""
        url = f"oss://{self.box.bucket}/models/held one/"
        return ["push", str(self.adapter), url, "--poll-interval", "0.1"]

    @property
    def env(self) -> dict[str, str]:
        return environment(self.home, self.box.environment())

    def hold(self, operation: str) -> None:
        """Calls of this operation wait until the test lets them go on."""
        service = "studio" if operation.endswith("ImportJob") else "oss"
        self.box.faults.add(
            Fault(
                service=service,  # type: ignore[arg-type]
                operation=operation,
                action=Action.LATENCY,
                seconds=60,
                times="always",
            )
        )

    def is_uploaded(self) -> bool:
        """Whether all files of the adapter, and the config, lie in the bucket."""
        return len(self.box.oss.objects(self.box.bucket)) == 4

    @property
    def is_held(self) -> Callable[[], bool]:
        """Whether a call waits now."""
        return self.gate.held.is_set

    def again(self) -> None:
        """The same command succeeds, and there is one job and one model."""
        self.gate.go_on.set()
        self.box.faults.clear()
        done = run(command(*self.words), self.env)
        assert done.code == 0, done.err
        assert done.out.splitlines()[-1].startswith("✔ IMPORTED")
        (job,) = self.box.studio.jobs()
        assert self.box.studio.model_is_valid(job.id)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    gate = Gate()
    adapter = tiny_adapter(tmp_path / "it's here")
    faults = FaultPlan(sleep=gate.sleep)
    with Sandbox(directory=tmp_path / "sandbox", faults=faults) as box:
        yield Stage(box, gate, tmp_path / "home", adapter)
        gate.go_on.set()


def interrupt(
    stage: Stage,
    words: list[str],
    is_there: Callable[[], object],
    number: signal.Signals,
    script: str = "",
) -> tuple[int, str, list[str]]:
    """Exit code, standard output and the last lines of a push that got a signal."""
    with started(words, stage.env, script) as process:
        until(lambda: is_there() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        process.send_signal(number)
        done = ended(process)
    return done.code, done.out, done.told()


def goes_on(stage: Stage) -> str:
    return f"  try  the same command goes on: preflight {shlex.join(stage.words)}"


@SIGNALS
def test_in_the_scan(
    stage: Stage, tmp_path: Path, number: signal.Signals, code: int, word: str
) -> None:
    """Of a check; a push scans the bytes while it uploads them."""
    mark, check = tmp_path / "mark", ["check", str(stage.adapter)]
    script, words = HOLDING.read_text("utf-8"), [str(mark), *check]
    got, out, told = interrupt(stage, words, mark.exists, number, script)
    assert got == code
    again = f"  try  the same command goes on: preflight {shlex.join(check)}"
    assert told == [f"preflight: {word} during scan", again]
    assert out.splitlines()[-1].startswith("✘ NOT FINISHED  ")
    assert run(command(*check), stage.env).code == 0


@SIGNALS
@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("PutObject", "upload"),
        ("ListObjectsV2", "verify"),
        ("CreateImportJob", "submit"),
    ],
)
def test_in_a_call(
    stage: Stage,
    operation: str,
    name: str,
    number: signal.Signals,
    code: int,
    word: str,
) -> None:
    if operation == "ListObjectsV2":  # asked before the upload as well
        stage.gate.is_time = stage.is_uploaded
    stage.hold(operation)
    got, _, told = interrupt(stage, command(*stage.words), stage.is_held, number)
    assert got == code
    assert told == [f"preflight: {word} during {name}", goes_on(stage)]
    (record,) = state_files(stage.home)
    kept = json.loads(record.read_text("utf-8"))
    assert (kept["exit_code"], kept["error"]["message"]) == (
        code,
        f"{word} during {name}",
    )
    assert kept["upload"]["complete"] is (operation != "PutObject")
    stage.gate.go_on.set()
    if operation == "CreateImportJob":  # it was carried out; its answer reached nobody
        until(stage.box.studio.jobs)
    stage.again()


@SIGNALS
def test_while_waiting(
    stage: Stage, number: signal.Signals, code: int, word: str
) -> None:
    stage.box.studio.policy.job_seconds = 1e6
    words = [*command(*stage.words), "--format", "json"]

    def was_looked_at() -> bool:
        return any(job.seen for job in stage.box.studio.jobs())

    got, out, told = interrupt(stage, words, was_looked_at, number)
    assert got == code
    assert told == [
        f"preflight: {word} during wait",
        f"{goes_on(stage)} --format json",
    ]
    document = json.loads(out)
    assert_contract(document)
    assert document["exit_code"] == code
    assert document["upload"]["verified"] is True
    assert document["job"]["job_id"] == stage.box.studio.jobs()[0].id
    stage.box.studio.policy.job_seconds = 0.0
    stage.again()


def test_a_large_file_leaves_no_parts_that_are_paid_for(
    stage: Stage, tmp_path: Path
) -> None:
    large = tiny_adapter(tmp_path / "large", rank=64, targets=SEVEN)
    held = Stage(stage.box, stage.gate, stage.home, large)
    held.hold("UploadPart")
    got, _, told = interrupt(held, command(*held.words), held.is_held, signal.SIGTERM)
    assert got == 143
    assert told == ["preflight: terminated during upload", goes_on(held)]
    held.again()
    assert held.box.oss.uploads(held.box.bucket) == []


SEVEN = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def test_the_command_that_goes_on_can_be_pasted(stage: Stage, tmp_path: Path) -> None:
    stage.hold("PutObject")
    _, _, told = interrupt(stage, command(*stage.words), stage.is_held, signal.SIGINT)
    line = told[1].partition("goes on: preflight ")[2]
    stage.gate.go_on.set()
    stage.box.faults.clear()
    binaries = tmp_path / "bin"
    binaries.mkdir()
    launcher(binaries / "preflight")
    env = {**stage.env, "PATH": f"{binaries}{os.pathsep}{stage.env['PATH']}"}
    assert run(["bash", "-c", f"preflight {line}"], env).code == 0


LOADING = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "preflight.parser":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from preflight.__main__ import entry
entry()
"""


def test_while_it_loads(tmp_path: Path) -> None:
    """The first tenths of a second, in which nothing of preflight runs yet."""
    done = run([sys.executable, "-c", LOADING], environment(tmp_path))
    assert (done.code, done.out) == (130, "")
    assert done.told() == ["preflight: interrupted"]
