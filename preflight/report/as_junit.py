"""The report as JUnit XML: every rule is a test case of the suite `preflight`.

The elements are those that Jenkins, GitLab and others read: `testsuites`, `testsuite`,
`testcase` with `failure`, `skipped` or `error`.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from preflight.findings import Outcome, Result, Severity
from preflight.language import for_programs
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.subject import label
from preflight.text import escaped

_JUDGED = (Result.PASSED, Result.FAILED)


def render(record: RunRecord, _: Style) -> str:
    """One suite; a warning passes, and its words stand in `system-out`."""
    suite = ET.Element("testsuite")
    outcomes = record.report.outcomes
    for outcome in outcomes:
        suite.append(_case(record, outcome))
    errors = 0
    if record.error is not None:
        errors = 1
        case = ET.SubElement(
            suite, "testcase", classname=_class(record), name=record.command
        )
        error = ET.SubElement(
            case, "error", type="error", message=_safe(record.error.message)
        )
        error.text = _safe(record.error.hint)
    numbers = {
        "tests": len(outcomes) + errors,
        "failures": sum(map(_is_failure, outcomes)),
        "errors": errors,
        "skipped": sum(
            o.result not in (Result.PASSED, Result.FAILED) for o in outcomes
        ),
    }
    seconds = sum(record.stages.values())
    suite.attrib.update(
        name=_safe(f"preflight {record.command}"),
        timestamp=record.started.strftime("%Y-%m-%dT%H:%M:%S"),
        time=f"{seconds:.3f}",
        **{name: str(number) for name, number in numbers.items()},
    )
    suites = ET.Element("testsuites", name="preflight", time=f"{seconds:.3f}")
    suites.attrib.update({name: str(number) for name, number in numbers.items()})
    suites.append(suite)
    ET.indent(suites)
    text = ET.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _is_failure(outcome: Outcome) -> bool:
    return outcome.result is Result.FAILED and outcome.severity is Severity.ERROR


def _class(record: RunRecord) -> str:
    return _safe(f"preflight.{label(record.directory) or record.command}")


def _case(record: RunRecord, outcome: Outcome) -> ET.Element:
    name = f"{outcome.code} {outcome.name}"
    case = ET.Element("testcase", classname=_class(record), name=name)
    case.set("time", "0.000")
    if outcome.result is Result.FAILED:
        text = _told(outcome)
        if _is_failure(outcome):
            first = outcome.problems[0].message if outcome.problems else name
            failure = ET.SubElement(
                case, "failure", type=outcome.code, message=_safe(first)
            )
            failure.text = text
        else:
            ET.SubElement(case, "system-out").text = f"warning\n{text}"
    elif outcome.result is not Result.PASSED:
        ET.SubElement(case, "skipped", message=_safe(outcome.reason))
    return case


def _told(outcome: Outcome) -> str:
    lines = [
        f"{each.where}: {each.message}" if each.where else each.message
        for each in outcome.problems
    ]
    fixes = dict.fromkeys(each.fix or outcome.fix for each in outcome.problems)
    lines += [f"fix: {fix}" for fix in fixes if fix]
    return "\n".join(map(_safe, lines))


def _safe(text: str) -> str:
    """XML cannot write most control characters: they are escaped as on screen.

    CI servers compare the texts of runs, so they are those for programs.
    """
    return escaped(str(for_programs(text)))
