"""The forms for machines, each read back by a reader of its own."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestSuite
from markdown_it import MarkdownIt

from preflight.findings import Outcome, Problem, Result, Severity
from preflight.record import ErrorRecord, RunRecord
from preflight.report import FORMATS, Style, render
from tests.report.runs import checked, imported, uploaded
from tests.report.runs import run as record

HOSTILE = (
    "<script>alert(1)</script> | `a` %0A::error::x]]> \x1b[31m\u202e&amp;\n::notice::y"
)
PASSED = Outcome("X01", "all-is-well", Severity.ERROR, Result.PASSED)
SKIPPED = Outcome("X02", "cannot-tell", Severity.ERROR, Result.SKIPPED, "no, input")
WARNED = Outcome(
    "X04",
    "odd",
    Severity.WARNING,
    Result.FAILED,
    problems=(Problem("t", "is odd"),),
    count=1,
)
FAILED = Outcome(
    "X03",
    "hostile",
    Severity.ERROR,
    Result.FAILED,
    problems=(Problem("adapter_config.json: r", HOSTILE), Problem("", "b", fix="B.")),
    count=7,
    fix="Mend it.",
)


def ended(error: str = "") -> RunRecord:
    run = record(PASSED, SKIPPED, WARNED, FAILED, command="push")
    run.exit_code = 1
    if error:
        run.error = ErrorRecord(error, "do this", "R-1")
    return run


ALL = {
    "nothing": RunRecord("check"),
    "error alone": RunRecord("push", error=ErrorRecord(HOSTILE), exit_code=2),
    "passed": record(PASSED),
    "failed": ended(),
    "failed and ended": ended(HOSTILE),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("form", FORMATS)
def test_every_form_tells_every_ending_harmlessly(form: str, name: str) -> None:
    text = render(ALL[name], form, Style())
    assert "\x1b" not in text
    assert "\u202e" not in text
    text.encode("utf-8")


# GitHub: "Workflow commands for GitHub Actions", `::LEVEL key=value,…::message`

COMMAND = re.compile(
    r"::(?P<level>error|warning|notice) (?P<properties>[^:]*)::(?P<message>.*)"
)


def annotated(text: str) -> list[dict[str, str]]:
    """What the runner of GitHub Actions reads, by the grammar that it documents."""
    found = []
    for line in text.splitlines():
        match = COMMAND.fullmatch(line)
        assert match, line
        told = {"level": match["level"], "message": decoded(match["message"])}
        for pair in match["properties"].split(","):
            name, _, value = pair.partition("=")
            assert name in ("file", "line", "col", "title")
            told[name] = decoded(value)
        found.append(told)
    return found


def decoded(text: str) -> str:
    assert "\n" not in text
    for code, character in (
        ("%0D", "\r"),
        ("%0A", "\n"),
        ("%3A", ":"),
        ("%2C", ","),
        ("%25", "%"),
    ):
        text = text.replace(code, character)
    return text


def test_annotations_name_level_file_and_fix(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    run = ended()
    run.directory = str(tmp_path)
    told = annotated(render(run, "github"))
    warned, first, second, third = told
    assert warned["level"] == "warning"
    assert (first["level"], first["title"]) == ("error", "X03 hostile")
    assert first["file"] == f"{tmp_path}/adapter_config.json"
    assert "<script>" in first["message"]
    assert first["message"].endswith("\nfix: Mend it.")
    assert "file" not in second
    assert second["message"] == "b\nfix: B."
    assert third["message"].startswith("NOT READY  1 error (X03), 1 warning (X04)")
    (good,) = annotated(render(record(PASSED), "github"))
    assert (good["level"], good["message"]) == ("notice", "READY  1 rule passed")


def suite_of(run: RunRecord) -> TestSuite:
    (suite,) = JUnitXml.fromstring(render(run, "junit").encode())
    assert isinstance(suite, TestSuite)
    return suite


def test_junit_counts_and_names_every_rule() -> None:
    suite = suite_of(ended("it ended"))
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (5, 1, 1, 1)
    cases = {case.name: case for case in suite}
    results = {name: case.result for name, case in cases.items()}
    assert results["X01 all-is-well"] == []
    (skipped,) = results["X02 cannot-tell"]
    (failed,) = results["X03 hostile"]
    (error,) = results["push"]
    assert isinstance(skipped, Skipped)
    assert skipped.message == "no, input"
    assert isinstance(failed, Failure)
    assert "<script>alert(1)</script>" in str(failed.message)
    assert "fix: Mend it." in str(failed.text)
    assert isinstance(error, Error)
    assert error.message == "it ended"
    assert results["X04 odd"] == []  # a warning fails no build
    assert "is odd" in str(cases["X04 odd"].system_out)
    assert suite_of(record(PASSED)).failures == 0


def test_markdown_shows_every_character_and_obeys_none() -> None:
    text = render(ended("it ended"), "markdown")
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    assert page.startswith("<h2>❌ out/adapter: NOT READY</h2>")
    assert page.count("<tr>") == 3  # heading, error, warning
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; | `a`" in page
    assert "Mend it.<br>B." in page
    assert "and 5 more" in page
    assert "<strong>it ended</strong>" in page


def test_markdown_of_a_push() -> None:
    run = record(PASSED, command="push")
    run.uploaded, run.imported = uploaded(), imported()
    text = render(run, "markdown")
    assert text.startswith("## ✅ out/adapter: IMPORTED")
    assert "Uploaded 2 files, 1.7 MB, to oss" in text


def test_concise_is_one_line_a_finding() -> None:
    run = ended()
    failed = replace(FAILED, problems=(Problem("f", "is wrong"), Problem(".", "no")))
    run.checked = checked(PASSED, WARNED, failed)
    counts = "1 error (X03), 1 warning (X04), 1 passed"
    assert render(run, "concise").splitlines() == [
        "out/adapter: error X03 f: is wrong",
        "out/adapter: error X03 no",
        "out/adapter: warning X04 t: is odd",
        f"out/adapter: ✘ NOT READY  {counts}; nothing was uploaded",
    ]
