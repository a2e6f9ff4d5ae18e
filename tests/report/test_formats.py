"""The forms for machines, each read back by a reader of its own."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestSuite
from markdown_it import MarkdownIt

from preflight.findings import Outcome, Problem, Result, Severity
from preflight.record import ErrorRecord, RunRecord
from preflight.report import FORMATS, Style, render, render_many
from preflight.report.as_github import annotation
from preflight.report.lines import line_of
from preflight.report.several import Several
from tests.cases import case
from tests.report.runs import checked, imported, uploaded
from tests.report.runs import run as record

if TYPE_CHECKING:
    from xmlschema import XMLSchema

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
    first, second, warned, third = told  # GitHub shows ten of each level
    assert warned["level"] == "warning"
    assert (first["level"], first["title"]) == ("error", "X03 hostile")
    assert first["file"] == f"{tmp_path}/adapter_config.json"
    assert "<script>" in first["message"]
    assert first["message"].endswith("\nfix: Mend it.")
    assert "file" not in second
    assert second["message"] == "b\nfix: B."
    verdict = f"{tmp_path}: NOT READY  1 error (X03), 1 warning (X04)"
    assert third["message"].startswith(verdict)
    (good,) = annotated(render(record(PASSED), "github"))
    told_well = ("notice", "out/adapter: READY  1 rule passed")
    assert (good["level"], good["message"]) == told_well


def test_an_annotation_names_the_line_of_a_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "out, 1: é%"
    model.mkdir()
    text = '{\n "nested": {"r": 1,\n  "x": "}"},\n "r": 128,\n "rope": {"a": 1}\n}'
    (model / "adapter_config.json").write_text(text)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    places = ("r", "rope.a", "nested", "gone", "")
    problems = tuple(Problem(f"adapter_config.json: {place}", "x") for place in places)
    run = record(replace(FAILED, problems=problems, count=len(problems)))
    run.directory = str(model)
    told = annotated(render(run, "github"))[:-1]
    assert {each["file"] for each in told} == {"out, 1: é%/adapter_config.json"}
    assert [each.get("line") for each in told] == ["4", "5", "2", None, None]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"a"', '{"a": }', '{"b": 1} {"a": 1}', "\xff", "[" * 100_000]
)
def test_a_file_that_is_no_object_has_no_lines(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, "latin-1")
    assert line_of(path, "z") == 0
    assert line_of(tmp_path / "nowhere.json", "a") == 0


def test_annotations_are_written_as_github_documents_them() -> None:
    """`%`, CR and LF in the message; in a property `:` and `,`, too."""
    told = annotation("error", "100 %\r\nof a:b,c", {"file": "a:b,c%", "line": "3"})
    assert told == "::error file=a%3Ab%2Cc%25,line=3::100 %25\\r%0Aof a:b,c"


# Several directories in one document


def several() -> Several:
    good, bad = record(PASSED), ended()
    good.directory, bad.directory = "runs/one", f"runs/{HOSTILE}"
    lost = RunRecord("check", "runs/lost", error=ErrorRecord("is gone"), exit_code=2)
    return Several.of([good, bad, lost], 1, "runs")


def test_every_form_tells_of_several_directories() -> None:
    for form in FORMATS:
        with case(form):
            text = render_many(several(), form)
            assert "\x1b" not in text
            assert "\u202e" not in text
            if form not in ("github", "concise"):
                assert "lost" in text
            assert "one" in text


def test_junit_of_several_is_a_suite_each() -> None:
    text = render_many(several(), "junit")
    suites = JUnitXml.fromstring(text.encode())
    names = [suite.name for suite in suites]
    assert names[0] == "preflight check runs/one"
    assert names[2] == "preflight check runs/lost"
    assert [suite.tests for suite in suites] == [1, 4, 1]
    schema().validate(text)


def test_markdown_of_several_links_to_each_part() -> None:
    page = rendered(render_many(several(), "markdown"))
    assert page.startswith(
        "<h1>❌ NOT READY: runs holds no model itself; below it 1 of"
    )
    links = re.findall(r'href="#([^"]+)"', page)
    parts = re.findall(r'<a id="([^"]+)"></a>', page)
    assert links == parts == [f"directory-{n}" for n in (1, 2, 3)]
    assert page.count("<h2>") == 3
    assert "<script" not in page


def test_annotations_of_several_begin_with_all_errors() -> None:
    told = annotated(render_many(several(), "github"))
    levels = [each["level"] for each in told]
    assert levels == ["error", "error", "warning", "notice", "error", "error"]


def suite_of(run: RunRecord) -> TestSuite:
    (suite,) = JUnitXml.fromstring(render(run, "junit").encode())
    assert isinstance(suite, TestSuite)
    return suite


@functools.cache
def schema() -> XMLSchema:
    from xmlschema import XMLSchema  # which every worker would wait for

    return XMLSchema(Path(__file__).parent / "junit.xsd")


def test_junit_keeps_the_schema() -> None:
    for name in ALL:
        with case(name):
            schema().validate(render(ALL[name], "junit"))


def test_a_document_that_breaks_the_schema_is_noticed() -> None:
    good = render(ended("it ended"), "junit")
    for old, new in (
        ("<properties />", ""),
        ('tests="', 'tests="many '),
        ("<testsuites>", '<testsuites skipped="1">'),
        ('timestamp="', 'timestamp="at '),
        ("</failure>", "</failure><system-out>x</system-out>"),
    ):
        assert old in good
        assert not schema().is_valid(good.replace(old, new, 1)), old


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
    assert "t: is odd" in render(ended(), "junit").partition("<system-out>")[2]
    assert suite_of(record(PASSED)).failures == 0


def rendered(text: str) -> str:
    """As GitHub renders it: CommonMark with tables."""
    page: str = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    return page


def test_markdown_shows_every_character_and_obeys_none() -> None:
    text = render(ended("it ended"), "markdown")
    page = rendered(text)
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
