"""The report for people, screen by screen."""

from __future__ import annotations

from preflight.findings import Outcome, Problem, Report, Result, Severity, WeightType
from preflight.record import (
    JobRecord,
    LeftBehind,
    RunRecord,
    UploadedFile,
    UploadRecord,
)
from preflight.report.as_text import Style, render_text

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
PLACE = "oss://bucket/models/one/"
FILES = (
    UploadedFile("models/one/adapter_model.safetensors", 1_705_024, 18_446_744),
    UploadedFile("models/one/adapter_config.json", 999, 1),
)


def record(*outcomes: Outcome, command: str = "check") -> RunRecord:
    return RunRecord(
        command,
        "out/adapter",
        weight_type=WeightType.LORA,
        base_model="qwen3-8b",
        report=Report(outcomes),
    )


def test_nothing_to_tell() -> None:
    assert render_text(RunRecord("check")) == ""


def test_all_is_well() -> None:
    assert render_text(record(PASSED, PASSED)) == "2 passed, 0 failed, 0 skipped\n"


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
        "1 passed, 2 failed, 1 skipped (no tokenizer)\n"
    )


def test_a_reason_is_told_once() -> None:
    assert render_text(record(SKIPPED, SKIPPED)) == (
        "0 passed, 0 failed, 2 skipped (no tokenizer)\n"
    )


def test_verbose_lists_every_rule_first() -> None:
    assert render_text(record(PASSED, SKIPPED), Style(verbose=True)) == (
        "passed  X01 all-is-well\n"
        "skipped X02 cannot-tell (no tokenizer)\n"
        "\n"
        "1 passed, 0 failed, 1 skipped (no tokenizer)\n"
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
    left = tuple(LeftBehind(f"{n}\x1b.pt", 1_000, "a pickle") for n in range(10))
    run.plan = UploadRecord(PLACE, FILES, left)
    lines = render_text(run).splitlines()
    assert lines[:5] == [
        f"would upload 2 files, 1.7 MB, {PLACE}",
        "  models/one/adapter_model.safetensors  1,705,024 bytes",
        "  models/one/adapter_config.json  999 bytes",
        "left behind 10 files, 10.0 kB",
        r"  0\x1b.pt: a pickle",
    ]
    assert lines[11] == r"  7\x1b.pt: a pickle"
    assert lines[12] == "  and 2 more"
    assert lines[13].startswith("1 passed, 0 failed, 0 skipped")


def pushed(**job: str) -> RunRecord:
    run = record(PASSED, command="push")
    run.upload = UploadRecord(PLACE, FILES, verified=True)
    values = {"status": "SUCCESSED", "model_name": "qwen3-8b-x", **job}
    run.job = JobRecord("job-1", **values)
    return run


def test_a_push_that_went_well() -> None:
    lines = render_text(pushed(display_name="Mine")).splitlines()
    assert lines[0] == f"uploaded 2 files, 1.7 MB, {PLACE}"
    assert lines[1].endswith("  1,705,024 bytes  crc64 18446744")
    assert "1 passed, 0 failed, 0 skipped" in lines
    assert any(line.startswith("job job-1: SUCCESSED") for line in lines)
    assert lines[-1] == (
        "imported out/adapter, an adapter of qwen3-8b, as model qwen3-8b-x (Mine)"
    )


def test_sums_of_what_was_not_verified_are_not_shown() -> None:
    run = pushed()
    run.upload = UploadRecord(PLACE, FILES)
    assert "crc64" not in render_text(run)


def test_a_job_that_failed_imported_nothing() -> None:
    run = pushed(status="FAILED", error_code="bad \x1b[31m")
    run.exit_code = 6
    lines = render_text(run).splitlines()
    assert any(line.startswith(r"job job-1: FAILED (bad \x1b[31m)") for line in lines)
    assert not any(line.startswith("imported") for line in lines)


def test_full_weights_and_the_sandbox() -> None:
    run = pushed()
    run.weight_type, run.sandbox = WeightType.FULL, True
    assert render_text(run).splitlines()[-1] == (
        "imported out/adapter, weights of qwen3-8b, in the sandbox as model qwen3-8b-x"
    )


def test_what_a_server_says_cannot_colour_the_terminal() -> None:
    evil = "a\x1b[31mb"
    run = pushed(status="SUCCESSED", model_name=evil, display_name=evil)
    assert "\x1b" not in render_text(run)
    run = pushed(status=evil, model_name=evil)
    assert "\x1b" not in render_text(run)
