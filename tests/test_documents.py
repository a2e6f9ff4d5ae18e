"""Every exit code of every command comes with a document that keeps the schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from preflight.clock import compressed
from preflight.commands import COMMANDS
from preflight.errors import (
    AccessDenied,
    ImportFailed,
    PreflightError,
    RulesFailed,
    StillRunning,
    TransferError,
    UsageError,
)
from preflight.failure import Termination
from preflight.report.schemas import SCHEMAS, load_schema
from preflight.sandbox import Sandbox
from tests.cases import case
from tests.promised import PROMISED, fields
from tests.report.test_schemas import NO_DOCUMENT, judged
from tests.running import InProcess, Run, environment, tiny_adapter
from tests.streams import FULL, ended_on

JOB = "11111111-2222-3333-4444-555555555555"
ASKING = ("push", "verify", "import", "wait", "jobs", "delete", "clean", "doctor")
REPORTING = ("check", "fix", "push", "import", "wait")


class Words:
    """What each command is called with where all is well."""

    def __init__(self, place: Path, bucket: str) -> None:
        good = str(tiny_adapter(place / "good"))
        where = f"oss://{bucket}/m/"
        self.of: dict[str, Sequence[str]] = {
            "check": (good,),
            "fix": (good, "-n"),
            "verify": (where, good),
            "push": (good, where, "--patience", "1"),
            "show": (good,),
            "diff": (good, good),
            "wait": (JOB,),
            "import": (where, "--base-model", "qwen3-8b"),
            "jobs": (),
            "delete": (JOB, "--yes"),
            "status": ("--offline",),
            "clean": (where,),
            "doctor": (where,),
            "explain": (),
            "bases": (),
        }


Call = Callable[..., Run]


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def words(tmp_path: Path, sandbox: Sandbox) -> Words:
    return Words(tmp_path, sandbox.bucket)


def walked(
    preflight: InProcess, words: Words, commands: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """The document of each command, judged."""
    found = {}
    for name in commands:
        with compressed():
            done = preflight(name, *words.of[name], "--format", "json")
        found[name] = judged(done)
        assert found[name]["command"] == name
    return found


def codes(found: dict[str, dict[str, Any]]) -> dict[str, int]:
    return {name: document["exit_code"] for name, document in found.items()}


def test_the_walk_knows_every_command(words: Words) -> None:
    assert set(words.of) == set(COMMANDS) - NO_DOCUMENT


def test_a_command_line_that_is_wrong(preflight: InProcess, words: Words) -> None:
    for name in words.of:
        for wrong in (
            ("--no-such-flag",),
            ("one", "too", "many", "words", "by", "far"),
        ):
            done = preflight(name, *words.of[name], *wrong, "--format", "json")
            if name == "check" and wrong[0] == "one":  # takes any number of them
                assert judged(done)["exit_code"] != 0
                continue
            document = judged(done)
            assert document["exit_code"] == 2, (name, wrong)
            assert document["command"] == name
            assert document["error"]["message"]
    lost = preflight("no-such-command", "--format", "json")
    assert judged(lost)["exit_code"] == 2


def test_without_credentials(preflight: InProcess, words: Words) -> None:
    found = walked(preflight, words, ASKING)
    assert set(codes(found).values()) == {2}
    for name, document in found.items():
        assert name == "doctor" or document["error"]["hint"], name


def test_services_that_are_not_reached(
    preflight: InProcess, words: Words, sandbox: Sandbox
) -> None:
    nobody = "http://127.0.0.1:9"
    preflight.use(
        sandbox, OSS_ENDPOINT=nobody, DASHSCOPE_HTTP_BASE_URL=f"{nobody}/api/v1"
    )
    found = codes(walked(preflight, words, ASKING))
    assert found.pop("wait") == 8  # it asks again until its time is over
    assert set(found.values()) <= {5, 6}, found


def test_keys_that_are_refused(
    preflight: InProcess, words: Words, sandbox: Sandbox
) -> None:
    preflight.use(sandbox, OSS_ACCESS_KEY_SECRET="wrong", DASHSCOPE_API_KEY="sk-wrong")
    found = codes(walked(preflight, words, ASKING))
    assert set(found.values()) == {4}, found


ENDINGS: list[tuple[BaseException, int]] = [
    (RulesFailed("x"), 1),
    (UsageError("x", hint="y"), 2),
    (OSError(28, "No space left on device", "/somewhere"), 2),
    (RuntimeError("nobody foresaw it"), 3),
    (MemoryError(), 3),
    (AccessDenied("x", request_id="R-1"), 4),
    (TransferError("x"), 5),
    (ImportFailed("x"), 6),
    (StillRunning("x"), 8),
    (KeyboardInterrupt(), 130),
    (Termination(), 143),
]


def test_whatever_ends_a_command(
    preflight: InProcess, words: Words, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its very beginning, and for those that report also in the midst of it."""
    for ending, code in ENDINGS:
        with case(repr(ending)), monkeypatch.context() as patch:
            _end_with(ending, code, preflight, words, patch)


def _end_with(
    ending: BaseException,
    code: int,
    preflight: InProcess,
    words: Words,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ending:
        @staticmethod
        def run(*_: object) -> int:
            raise ending

    def stage(*_: object) -> Any:  # noqa: ANN401
        raise ending

    with monkeypatch.context() as patch:
        patch.setattr("preflight.cli.load_command", lambda _: Ending)
        found = walked(preflight, words, list(words.of))
        assert set(codes(found).values()) == {code}
    preflight.set_keys()
    with monkeypatch.context() as patch:
        patch.setattr("preflight.commands._recorder.Recorder.stage", stage)
        found = walked(preflight, words, REPORTING)
        assert set(codes(found).values()) == {code}, codes(found)
    for name, document in found.items():
        assert document["directory"] or name in ("wait", "import")


def test_a_document_that_cannot_be_written_where_it_should(
    preflight: InProcess, words: Words, tmp_path: Path
) -> None:
    """A full disk, a directory in its place: it goes to standard output."""
    good = words.of["check"][0]
    for place in ("/dev/full", str(tmp_path)):
        for many in ((good,), (good, good)):
            done = preflight("check", *many, "--format", "json", "--output", place)
            assert judged(done)["exit_code"] == 2, done.err
            assert "cannot write" in done.err


def test_a_full_standard_output_is_told_on_the_other(
    tmp_path: Path, words: Words
) -> None:
    for name in ("check", "explain", "bases"):
        line, env = (name, *words.of[name]), environment(tmp_path / "home")
        with FULL.open("w") as full:
            done = ended_on([*line, "--format", "json"], env, out=full.fileno())
        assert done.code == 2
        assert "cannot write to standard output" in done.err


# The number in `schema`


def test_fields_are_added_and_never_taken_away_while_schema_stays_1() -> None:
    """README: it rises when a field is removed or gets another meaning.

    `PROMISED` holds the fields that programs may rely on; `make readme` adds those
    that are new. What had no `schema` field was never under this promise.
    """
    promised = json.loads(PROMISED.read_text("utf-8"))
    for name in SCHEMAS:
        lost = set(promised[name]) - fields(load_schema(name))
        assert lost == set(), "raise SCHEMA, or give these back"


def test_what_lists_is_an_object_with_a_schema_too(
    preflight: InProcess, words: Words, sandbox: Sandbox
) -> None:
    """No command prints a bare list, to which nothing could be added."""
    preflight.use(sandbox)
    for name in ("clean", "jobs", "explain", "bases", "status"):
        done = preflight(name, *words.of[name], "--format", "json")
        assert done.document["schema"] == 1, name


def test_an_error_of_the_program_knows_its_code() -> None:
    assert {error.exit_code for error in PreflightError.__subclasses__()} <= {
        code for _, code in ENDINGS
    }
