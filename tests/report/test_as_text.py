"""The report for people, screen by screen."""

from __future__ import annotations

from dataclasses import replace

from preflight.findings import Outcome, Problem, Result, Severity, WeightType
from preflight.record import ErrorRecord, RunRecord
from preflight.report import Style, render
from preflight.upload.plan import Excluded
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


def render_text(run: RunRecord, style: Style | None = None) -> str:
    return render(run, "text", style)


def test_nothing_to_tell() -> None:
    assert render_text(RunRecord("check")) == ""


def test_all_is_well() -> None:
    assert render_text(record(PASSED, PASSED)) == "2 passed, 0 failed, 0 skipped\n"


def test_each_cause_with_its_remedy() -> None:
    found = (
        Problem("a", "is missing", fix="Copy a."),
        Problem("b", "is missing", fix="Copy a."),
        Problem("c", "is odd", details=("a command",)),
    )
    several = replace(FAILED, problems=found, count=3)
    assert render_text(record(several)).startswith(
        "error X03 rank-too-large\n"
        "  a: is missing\n"
        "  b: is missing\n"
        "  fix  Copy a.\n"
        "  c: is odd\n"
        "    a command\n"
        "  fix  Train again.\n"
        "\n"
    )


def test_failures_come_before_the_sum() -> None:
    assert render_text(record(PASSED, FAILED, SKIPPED, WARNED)) == (
        "error X03 rank-too-large\n"
        "  adapter_config.json: r is 128\n"
        "  and more\n"
        "  fix  Train again.\n"
        "\n"
        "warning X04 looks-odd\n"
        "  t: is odd\n"
        "  and 1,233 more\n"
        "\n"
        "skipped X02: no tokenizer\n"
        "1 passed, 2 failed, 1 skipped\n"
    )


def test_a_reason_is_told_once() -> None:
    assert render_text(record(SKIPPED, SKIPPED)) == (
        "skipped X02 X02: no tokenizer\n0 passed, 0 failed, 2 skipped\n"
    )


def test_of_many_skipped_rules_the_first_are_named() -> None:
    codes = [f"Y{n}" for n in range(5)]
    many = [
        Outcome(code, "x", Severity.ERROR, Result.SKIPPED, reason="no base")
        for code in codes
    ]
    assert render_text(record(*many)) == (
        "skipped Y0 Y1 Y2 and 2 more: no base\n0 passed, 0 failed, 5 skipped\n"
    )


def test_verbose_lists_every_rule_first() -> None:
    assert render_text(record(PASSED, SKIPPED), Style(verbose=True)) == (
        "passed  X01 all-is-well\n"
        "skipped X02 cannot-tell (no tokenizer)\n"
        "\n"
        "1 passed, 0 failed, 1 skipped\n"
    )


def test_colour_is_for_the_words_error_and_warning_alone() -> None:
    plain = render_text(record(FAILED, WARNED))
    colored = render_text(record(FAILED, WARNED), Style(color=True))
    assert colored.startswith("\x1b[1;31merror\x1b[0m X03 ")
    assert "\n\x1b[1;33mwarning\x1b[0m X04 " in colored
    stripped = colored
    for code in ("\x1b[1;31m", "\x1b[1;33m", "\x1b[0m"):
        stripped = stripped.replace(code, "")
    assert stripped == plain


def test_a_push_that_failed_says_that_nothing_was_uploaded() -> None:
    last = render_text(record(FAILED, command="push")).splitlines()[-1]
    assert last.startswith("0 passed, 1 failed, 0 skipped")
    assert last.endswith("nothing was uploaded")


def test_a_dry_run() -> None:
    run = record(PASSED, command="push")
    run.dry_run = True
    left = (Excluded(f"{n}\x1b.pt", 1_000, "a pickle") for n in range(10))
    run.planned = planned(*left)
    lines = render_text(run).splitlines()
    assert lines[:5] == [
        f"would upload 2 files, 1.7 MB, to {PLACE}",
        "  adapter_model.safetensors        1,705,024 bytes",
        "  adapter_config.json                    999 bytes",
        "left behind 10 files, 10.0 kB",
        r"  0\x1b.pt: a pickle",
    ]
    assert lines[11] == r"  7\x1b.pt: a pickle"
    assert lines[12] == "  and 2 more"
    assert lines[13].startswith("1 passed, 0 failed, 0 skipped")


def pushed(**job: str) -> RunRecord:
    run = record(PASSED, command="push")
    run.uploaded, run.imported = uploaded(), imported(job=job)
    return run


def test_a_push_that_went_well() -> None:
    lines = render_text(pushed(display_name="Mine")).splitlines()
    assert lines[0] == f"uploaded 2 files, 1.7 MB, to {PLACE}"
    assert lines[1] == "  adapter_model.safetensors        1,705,024 bytes"
    assert "1 passed, 0 failed, 0 skipped" in lines
    assert any(line.startswith("job job-1: SUCCESSED") for line in lines)
    assert lines[-1] == (
        "imported out/adapter, an adapter of qwen3-8b, as model qwen3-8b-x, "
        'shown as "Mine"'
    )


def test_what_lay_there_already_is_not_called_an_upload() -> None:
    run = pushed()
    run.uploaded = uploaded(0)
    first = render_text(run).splitlines()[0]
    assert first == f"nothing to send: 2 files, 1.7 MB, lay at {PLACE} already"


def test_a_resumed_upload_says_what_was_not_sent_again() -> None:
    run = pushed()
    run.uploaded = uploaded(705_024)
    assert render_text(run).splitlines()[0] == (
        f"uploaded 2 files, 1.7 MB, to {PLACE}: "
        "705.0 kB were sent now, 1.0 MB lay there already"
    )


def test_an_upload_that_was_interrupted_is_not_called_nothing() -> None:
    run = record(PASSED, command="push")
    run.error, run.exit_code, run.stages["upload"] = ErrorRecord("x"), 130, 1.5
    last = render_text(run).splitlines()[-1]
    assert last == "1 passed, 0 failed, 0 skipped; the upload is not complete"
    run.exit_code = 1  # a rule failed on the way: all was taken back
    assert render_text(run).splitlines()[-1].endswith("; nothing was uploaded")


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
    lines = render_text(record(long)).splitlines()
    assert lines[1:3] == [f"  {where}:", f"    {message}"]
    assert max(map(len, lines)) <= 80
    assert " ".join(lines[3:6]).count("do this") == 8


def test_the_likely_cause_of_a_failed_job_stands_last() -> None:
    run = pushed()
    run.imported = imported(
        "likely cause: this", job={"status": "FAILED", "error_code": "Unknown"}
    )
    run.exit_code, run.error = 6, ErrorRecord("x")
    run.notes = ["added config.json"]
    lines = render_text(run).splitlines()
    assert lines[-2:] == ["job job-1: FAILED (Unknown)", "likely cause: this"]
    assert "added config.json" in lines


def test_sums_of_what_was_not_verified_are_not_shown() -> None:
    run = pushed()
    run.uploaded = uploaded(verified=False)
    assert "crc64" not in render_text(run, Style(verbose=True))
    run = pushed()
    assert "  crc64 18446744\n" in render_text(run, Style(verbose=True))
    assert "crc64" not in render_text(run)


def test_a_job_that_failed_imported_nothing() -> None:
    run = pushed(status="FAILED", error_code="bad \x1b[31m")
    run.exit_code = 6
    lines = render_text(run).splitlines()
    assert any(line.startswith(r"job job-1: FAILED (bad \x1b[31m)") for line in lines)
    assert not any(line.startswith("imported") for line in lines)


def test_full_weights_and_the_sandbox() -> None:
    run = pushed()
    run.checked, run.sandbox = checked(PASSED, kind=WeightType.FULL), True
    assert render_text(run).splitlines()[-1] == (
        "imported out/adapter, weights of qwen3-8b, in the sandbox as model qwen3-8b-x"
    )


def test_what_a_server_says_cannot_colour_the_terminal() -> None:
    evil = "a\x1b[31mb"
    run = pushed(status="SUCCESSED", model_name=evil, display_name=evil)
    assert "\x1b" not in render_text(run)
    run = pushed(status=evil, model_name=evil)
    assert "\x1b" not in render_text(run)
