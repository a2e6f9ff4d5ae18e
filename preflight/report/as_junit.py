"""The report as JUnit XML: a directory is a suite, and every rule a test case of it.

Elements and attributes are those that the schemas of Jenkins and of Apache Ant's tasks
both allow, so that any reader of JUnit XML takes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

from preflight.findings import Outcome, Result, Severity
from preflight.language import for_programs, glued, say
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.several import Several
from preflight.report.subject import label
from preflight.text import escaped

_JUDGED = (Result.PASSED, Result.FAILED)


def render(record: RunRecord, _: Style) -> str:
    """One suite; a warning passes, and its words stand in `system-out`."""
    return _document([record])


def render_many(several: Several, _: Style) -> str:
    """A suite for each directory."""
    return _document(several.records)


def _document(records: Sequence[RunRecord]) -> str:
    suites = ET.Element("testsuites")
    for number, record in enumerate(records):
        suites.append(_suite(record, number))
    ET.indent(suites)
    text = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _suite(record: RunRecord, number: int) -> ET.Element:
    """Its attributes and the elements that Ant's schema demands, in its order."""
    outcomes = record.report.outcomes
    cases = [_case(record, outcome) for outcome in outcomes]
    if record.error is not None:
        cases.append(_ended(record))
    numbers = {
        "tests": len(cases),
        "failures": sum(map(_is_failure, outcomes)),
        "errors": int(record.error is not None),
        "skipped": sum(each.result not in _JUDGED for each in outcomes),
    }
    suite = ET.Element(
        "testsuite",
        name=_safe(f"preflight {record.command} {label(record.directory)}".strip()),
        package="preflight",
        id=str(number),
        hostname=_safe(record.process.host) or "localhost",
        timestamp=record.started.strftime("%Y-%m-%dT%H:%M:%S"),
        time=f"{sum(record.stages.values()):.3f}",
    )
    suite.attrib.update({name: str(count) for name, count in numbers.items()})
    ET.SubElement(suite, "properties")
    suite.extend(cases)
    ET.SubElement(suite, "system-out").text = "\n".join(_warnings(outcomes))
    ET.SubElement(suite, "system-err")
    return suite


def _warnings(outcomes: Sequence[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        if outcome.result is Result.FAILED and not _is_failure(outcome):
            yield f"{outcome.severity.value} {outcome.code} {outcome.name}"
            yield _told(outcome)


def _ended(record: RunRecord) -> ET.Element:
    """What ended the run, as a test case in error."""
    case = _empty(record, record.command)
    if record.error is not None:
        error = ET.SubElement(
            case, "error", type="error", message=_safe(record.error.message)
        )
        error.text = _safe(record.error.hint)
    return case


def _is_failure(outcome: Outcome) -> bool:
    return outcome.result is Result.FAILED and outcome.severity is Severity.ERROR


def _class(record: RunRecord) -> str:
    return _safe(f"preflight.{label(record.directory) or record.command}")


def _empty(record: RunRecord, name: str) -> ET.Element:
    return ET.Element("testcase", classname=_class(record), name=name, time="0.000")


def _case(record: RunRecord, outcome: Outcome) -> ET.Element:
    name = f"{outcome.code} {outcome.name}"
    case = _empty(record, name)
    if _is_failure(outcome):
        first = outcome.problems[0].message if outcome.problems else name
        failure = ET.SubElement(
            case, "failure", type=outcome.code, message=_safe(first)
        )
        failure.text = _told(outcome)
    elif outcome.result not in _JUDGED:
        ET.SubElement(case, "skipped", message=_safe(outcome.reason))
    return case


def _told(outcome: Outcome) -> str:
    lines = [
        glued(each.where, ": ", each.message) if each.where else each.message
        for each in outcome.problems
    ]
    fixes = dict.fromkeys(each.fix or outcome.fix for each in outcome.problems)
    lines += [say("fix: {fix}", fix=fix) for fix in fixes if fix]
    return "\n".join(map(_safe, lines))


def _safe(text: str) -> str:
    """XML cannot write most control characters: they are escaped as on screen.

    CI servers compare the texts of runs, so they are those for programs.
    """
    return escaped(str(for_programs(text)))
