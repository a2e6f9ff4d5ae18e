"""The report for people, screen by screen."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from preflight.findings import (
    Outcome,
    Problem,
    Result,
    Severity,
    Unavailable,
    WeightType,
)
from preflight.model.inspection import Inspection
from preflight.record import ErrorRecord, RunRecord, StageProgress
from preflight.report import Style, render
from preflight.report.subject import label
from preflight.rules.policy import Policy
from preflight.studio.submit import How
from preflight.text import columns
from preflight.upload.plan import Excluded
from tests.cases import case
from tests.report.runs import PLACE, checked, imported, planned, uploaded
from tests.report.runs import run as record

PASSED = Outcome("X01", "all-is-well", Severity.ERROR, Result.PASSED)
SKIPPED = Outcome(
    "X02", "cannot-tell", Severity.ERROR, Result.SKIPPED, reason="no tokenizer"
)
FAILED = Outcome(
    "X03",
    "rank-too-large",
    Severity.ERROR,
    Result.FAILED,
    problems=(Problem("adapter_config.json", "r is 128"), Problem("", "and more")),
    count=2,
    fix="Train again.",
)
WARNED = Outcome(
    "X04",
    "looks-odd",
    Severity.WARNING,
    Result.FAILED,
    problems=(Problem("t", "is odd"),),
    count=1_234,
)
ABOUT = "out/adapter  LoRA rank 16, alpha 32 · base qwen3-8b (from adapter_config.json)"
PUSH = "next  preflight push out/adapter oss://BUCKET/models/adapter-{digest}/"
QUIET, VERBOSE = Style(quiet=True), Style(verbose=True)


def text(run: RunRecord, style: Style | None = None) -> str:
    return render(run, "text", style)


def lines(run: RunRecord, style: Style | None = None) -> list[str]:
    return text(run, style).splitlines()


def test_nothing_to_tell() -> None:
    assert text(RunRecord("check")) == ""


def test_all_is_well_in_three_lines() -> None:
    """What it is, whether it is right, what now; what was skipped needs no action."""
    assert lines(record(PASSED, PASSED, SKIPPED)) == [
        ABOUT,
        "✔ READY  2 rules passed, 1 skipped",
        PUSH,
    ]


def test_the_verdict_stands_first_and_last() -> None:
    verdict = "✘ NOT READY  1 error (X03), 1 warning (X04), 1 passed"
    assert lines(record(PASSED, WARNED, SKIPPED, FAILED)) == [
        verdict,
        "",
        "error X03 rank-too-large",
        "  adapter_config.json: r is 128",
        "  and more",
        "  fix  Train again.",
        "",
        "warning X04 looks-odd",
        "  t: is odd",
        "  and 1,233 more (-v shows them)",
        "",
        ABOUT,
        verdict,
        "next  mend it as named above, then: preflight check out/adapter",
    ]


def test_a_warning_is_no_failure() -> None:
    told = lines(record(PASSED, WARNED))
    assert told[0] == told[-2] == "✔ READY  1 warning (X04), 1 passed"
    assert told[-1] == PUSH


def test_many_codes_are_cut_short() -> None:
    many = [replace(FAILED, code=f"Y{n:02}") for n in range(15)]
    told = lines(record(*many))[-2]
    assert told.startswith("✘ NOT READY  15 errors (Y00 Y01 ")
    assert "Y07 and 7 more), 0 warnings" in told
    assert columns(told) <= 80


def test_quiet_prints_the_verdict_alone() -> None:
    for run, told in (
        (record(PASSED), "✔ READY  1 rule passed"),
        (record(FAILED), "✘ NOT READY  1 error (X03), 0 warnings"),
        (RunRecord("check"), ""),
    ):
        assert text(run, QUIET) == (f"{told}\n" if told else "")


def test_a_stream_without_the_marks_has_words() -> None:
    plain = Style(marks=False)
    assert lines(record(PASSED), plain)[1] == "OK READY  1 rule passed"
    assert lines(record(FAILED), plain)[-2].startswith("FAIL NOT READY  ")
    assert text(record(PASSED, FAILED), plain).isascii()


def test_what_could_be_judged_with_another_argument_is_a_note() -> None:
    reason = "the base model is not known; give --base-model"
    skipped = [replace(SKIPPED, code=f"Y{n}", reason=reason) for n in range(5)]
    ignored = replace(SKIPPED, reason="ignored: as agreed")
    told = lines(record(PASSED, *skipped, ignored))
    assert told[1] == f"note  not judged: Y0 Y1 Y2 and 2 more: {reason}"
    assert told[2] == "note  not judged: X02: ignored: as agreed"


def test_verbose_lists_every_rule_and_every_reason() -> None:
    told = lines(record(PASSED, SKIPPED), VERBOSE)
    assert [line.split() for line in told[:2]] == [
        ["passed", "X01", "all-is-well"],
        ["skipped", "X02", "cannot-tell", "(no", "tokenizer)"],
    ]
    assert told[2] == ""
    assert told[-2] == "✔ READY  1 rule passed, 1 skipped"


def test_details_are_for_those_who_ask() -> None:
    detailed = replace(FAILED, problems=(Problem("t", "differs", details=("as so",)),))
    assert "as so" not in text(record(detailed))
    assert "    as so\n" in text(record(detailed), VERBOSE)


def test_each_cause_has_its_own_remedy() -> None:
    causes = (
        Problem("a", "is one", fix="Mend a."),
        Problem("b", "is one, too", fix="Mend a."),
        Problem("c", "is another"),
    )
    told = lines(record(replace(FAILED, problems=causes, count=3)))
    assert told[3:8] == [
        "  a: is one",
        "  b: is one, too",
        "  fix  Mend a.",
        "  c: is another",
        "  fix  Train again.",
    ]


def test_colour_is_for_verdict_and_severity_alone() -> None:
    plain = text(record(FAILED, WARNED))
    colored = text(record(FAILED, WARNED), Style(color=True))
    assert colored.startswith("\x1b[1;31m✘ NOT READY\x1b[0m  ")
    assert "\n\x1b[1;31merror\x1b[0m X03 " in colored
    assert "\n\x1b[1;33mwarning\x1b[0m X04 " in colored
    stripped = colored
    for code in ("\x1b[1;31m", "\x1b[1;33m", "\x1b[0m"):
        stripped = stripped.replace(code, "")
    assert stripped == plain
    assert text(record(PASSED), Style(color=True)).count("\x1b[1;32m") == 1
    assert text(record(WARNED), Style(color=True)).startswith("\x1b[1;33m✔ READY")


def test_a_narrow_terminal_gets_less_of_what_it_is() -> None:
    for width, first in (
        (0, ABOUT),
        (200, ABOUT),
        (70, "out/adapter  LoRA rank 16, alpha 32 · base qwen3-8b"),
        (50, "out/adapter  LoRA rank 16 · base qwen3-8b"),
    ):
        assert lines(record(PASSED), Style(width=width))[0] == first


def test_a_directory_without_a_name_is_called_by_its_own() -> None:
    cases: list[str] = [".", "./", "..", "a/.."]
    for directory in cases:
        with case(directory):
            assert label(directory) not in (directory, "", ".", "..")
            assert label("a/b") == "a/b"


def test_of_the_directory_itself_a_problem_names_it() -> None:
    empty = replace(FAILED, problems=(Problem(".", "the directory is empty"),))
    assert "\n  out/adapter: the directory is empty\n" in text(record(empty))


# A base that is not named


def without_base(*fitting: str) -> RunRecord:
    run = record(PASSED)
    assert run.checked is not None
    found = SimpleNamespace(**vars(run.checked.found))
    found.base = Unavailable("the base model is not known; give --base-model")
    found.candidates = tuple(SimpleNamespace(code=code) for code in fitting)
    run.checked = replace(run.checked, found=cast("Inspection", found))
    run.error, run.exit_code = ErrorRecord("why", "the command"), 2
    return run


def test_a_base_that_is_not_named_is_not_ready_to_push() -> None:
    assert lines(without_base())[-2:] == [
        "✘ NOT READY TO PUSH  why",
        "next  the command",
    ]
    assert "base not known" in text(without_base())


def test_selected_rules_alone_make_nothing_ready() -> None:
    run = record(PASSED)
    assert run.checked is not None
    options = replace(run.checked.options, policy=Policy(select=("C",)))
    run.checked = replace(run.checked, options=options)
    assert lines(run)[1:] == ["✔ PASSED  of the selected rules alone: 1 rule passed"]


# Pushes


def test_a_push_that_failed_says_that_nothing_was_uploaded() -> None:
    told = lines(record(FAILED, command="push"))
    assert told[0] == told[-2]
    assert told[0].endswith("nothing was uploaded")
    assert told[-1].endswith("preflight push out/adapter")


def test_a_dry_run() -> None:
    run = record(PASSED, command="push")
    run.dry_run = True
    left = (Excluded(f"{n}\x1b.pt", 1_000, "a pickle") for n in range(10))
    run.planned = planned(*left)
    run.argv = ("push", "out/adapter", "--dry-run", PLACE)
    told = lines(run)
    assert told[0] == "dry run: nothing is sent"
    assert told[2:] == [
        f"plan  2 files, 1.7 MB, to {PLACE}",
        "not needed  10 files, 10.0 kB (a pickle)",
        "✔ READY  1 rule passed",
        f"next  preflight push out/adapter {PLACE}",
    ]
    told = lines(run, VERBOSE)
    assert "  adapter_model.safetensors        1,705,024 bytes" in told
    assert r"  9\x1b.pt: a pickle" in told


def pushed(**job: str) -> RunRecord:
    run = record(PASSED, command="push")
    run.uploaded, run.imported = uploaded(), imported(job=job)
    return run


def test_the_last_screen_of_a_push_ends_with_the_answer() -> None:
    run = pushed(display_name="Mine")
    run.notes = ["added config.json"]
    told = lines(run)
    assert told[1] == f"uploaded 2 files, 1.7 MB, to {PLACE}, verified"
    assert told[2] == "added config.json"
    assert told[3].startswith("next  deploy it yourself (preflight never deploys)")
    assert told[-1] == '✔ IMPORTED  model qwen3-8b-x, console name "Mine"'
    assert len(told) < 20
    assert text(run, QUIET) == told[-1] + "\n"


def test_a_push_that_had_nothing_to_do_says_so_in_three_lines() -> None:
    run = pushed()
    run.uploaded = uploaded(0)
    run.imported = replace(imported(), how=How.ALREADY_DONE)
    run.notes = ["added config.json"]
    assert lines(run) == [
        ABOUT,
        f"nothing to send: 2 files verified in {PLACE}",
        "✔ IMPORTED ALREADY  model qwen3-8b-x",
    ]


def test_a_resumed_upload_says_what_was_not_sent_again() -> None:
    run = pushed()
    run.uploaded = uploaded(705_024)
    assert lines(run)[1:3] == [
        f"uploaded 2 files, 1.7 MB, to {PLACE}, verified",
        "  705.0 kB were sent now, 1.0 MB lay there already",
    ]


def test_an_upload_that_was_interrupted_is_not_called_nothing() -> None:
    run = record(PASSED, command="push")
    run.error, run.exit_code, run.stages["upload"] = ErrorRecord("x"), 130, 1.5
    run.progress = StageProgress("uploading", 33_600_000, 174_700_000)
    assert lines(run)[1:] == [
        "33.6 MB of 174.7 MB are safe in OSS",
        "✘ NOT UPLOADED  the upload is not complete",
    ]
    run.stages, run.progress = {}, None
    told = "✘ NOT UPLOADED  the directory passed; nothing was sent"
    assert lines(run)[-1] == told
    run.uploaded = uploaded()
    told = "✘ NOT IMPORTED  the upload is complete; no job was submitted"
    assert lines(run)[-1] == told


def test_long_reports_fit_a_terminal() -> None:
    where, message = "model.layers.0." * 4, "holds 1 NaN or Inf of 16,384 values"
    long = Outcome(
        "X05",
        "odd",
        Severity.ERROR,
        Result.FAILED,
        problems=(Problem(where, message),),
        count=1,
        fix="do this and that and " * 8 + "again.",
    )
    told = lines(record(long), Style(width=80))
    assert told[3:5] == [f"  {where}:", f"    {message}"]
    assert max(map(len, told)) <= 80
    assert " ".join(told[5:8]).count("do this") == 8


def test_the_likely_cause_of_a_failed_job_stands_last() -> None:
    run = pushed()
    run.imported = imported(
        "likely cause: this", job={"status": "FAILED", "error_code": "bad \x1b[31m"}
    )
    run.exit_code, run.error = 6, ErrorRecord("x")
    told = lines(run)
    assert told[-2] == r"✘ IMPORT FAILED  job job-1: failed (bad \x1b[31m)"
    assert told[-1] == "likely cause: this"
    assert "IMPORTED" not in text(run)


def test_a_job_that_is_not_at_its_end() -> None:
    cases: list[tuple[int, str, str]] = [
        (0, "PENDING", "✔ SUBMITTED  job job-1: pending, model qwen3-8b-x"),
        (8, "RUNNING", "✔ STILL RUNNING  job job-1: running"),
        (130, "RUNNING", "✘ INTERRUPTED  job job-1 was last running"),
        (143, "RUNNING", "✘ INTERRUPTED  job job-1 was last running"),
        (4, "RUNNING", "✘ NOT FOLLOWED TO ITS END  job job-1 was last running"),
    ]
    for code, status, told in cases:
        with case(code, status, told):
            run = pushed(status=status)
            run.exit_code = code
            assert lines(run)[-2:] == [told, "next  preflight wait job-1"]


def test_sums_are_shown_when_asked_for_and_verified() -> None:
    run = pushed()
    run.uploaded = uploaded(verified=False)
    assert "crc64" not in text(run, VERBOSE)
    run = pushed()
    assert "  crc64 18446744\n" in text(run, VERBOSE)
    assert "crc64" not in text(run)


def test_full_weights_and_the_sandbox() -> None:
    run = pushed()
    run.checked, run.sandbox = checked(PASSED, kind=WeightType.FULL), True
    assert lines(run)[0].startswith("out/adapter  full weights · base qwen3-8b")
    assert lines(run)[-1] == "✔ IMPORTED (sandbox)  model qwen3-8b-x"


@pytest.mark.parametrize(
    "job",
    [
        {"status": "SUCCESSED", "model_name": "a\x1b[31mb", "display_name": "\x1b"},
        {"status": "a\x1b[31mb", "model_name": "a\x1b[31mb"},
    ],
)
def test_what_a_server_says_cannot_colour_the_terminal(job: dict[str, Any]) -> None:
    assert "\x1b" not in text(pushed(**job))
