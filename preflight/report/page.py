"""What the HTML page tells of one run, as values for its template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preflight import __version__
from preflight.findings import Outcome, Result, Severity, Unavailable
from preflight.language import known, say, say_n
from preflight.progress import human_size, human_time
from preflight.record import RunRecord
from preflight.report.answer import Tone, answer
from preflight.report.failed import why
from preflight.report.page_map import map_values
from preflight.report.subject import facts, label
from preflight.report.uploads import upload_lines


def page_words() -> dict[str, str]:
    """The page's own words."""
    return {
        "findings": say("Findings"),
        "details": say("details"),
        "fix": say("Fix"),
        "next": say("What to do now"),
        "request_id": say("request id"),
        "file": say("file"),
        "bytes": say("bytes"),
        "job": say("Import job"),
        "time": say("Time line"),
        "rule": say("rule"),
        "name": say("name"),
        "result": say("result"),
        "reason": say("reason"),
        "layer": say("layer"),
        "beside": say("Beside the layers"),
        "numbers": say("All numbers as a table"),
        "footer": say(
            "Made by preflight {version}. This page is one file: it runs no script "
            "and asks no server.",
            version=__version__,
        ),
    }


def run_values(record: RunRecord, identity: str) -> dict[str, Any]:
    """One run; `identity` is what links on the page lead to."""
    found = answer(record)
    tone = found.tone if found else Tone.BAD
    rules = record.report.outcomes
    return {
        "id": identity,
        "name": label(record.directory) or record.command,
        "command": record.command,
        "started": record.started.astimezone().strftime("%Y-%m-%d %H:%M %z"),
        "tone": tone.name.lower(),
        "mark": tone.mark(marks=True),
        "word": found.word if found else say("NOT FINISHED"),
        "rest": found.rest if found else "",
        "following": found.following if found else "",
        "facts": facts(record.checked.found) if record.checked else [],
        "error": record.error,
        "findings": list(_findings(record)),
        "map": _map(record),
        "unmapped": _unmapped(record),
        "upload": _upload(record),
        "job": _job(record),
        "stages": list(_stages(record)),
        "rules": [_rule(each) for each in rules],
        "rules_title": say_n("All {count} rule", "All {count} rules", count=len(rules)),
    }


def _rule(outcome: Outcome) -> dict[str, str]:
    return {
        "code": outcome.code,
        "name": outcome.name,
        "result": outcome.result.word,
        "reason": outcome.reason,
    }


def _findings(record: RunRecord) -> Iterator[dict[str, Any]]:
    failed = record.report.select(Result.FAILED)
    for severity in Severity:
        yield from (_finding(each) for each in failed if each.severity is severity)


def _finding(outcome: Outcome) -> dict[str, Any]:
    fixes = dict.fromkeys(each.fix or outcome.fix for each in outcome.problems)
    hidden = max(0, outcome.count - len(outcome.problems))
    return {
        "severity": outcome.severity.value,
        "word": outcome.severity.word,
        "code": outcome.code,
        "name": outcome.name,
        "problems": outcome.problems,
        "hidden": say("and {count} more", count=f"{hidden:,}") if hidden else "",
        "why": why(outcome.code),
        "fixes": [fix for fix in fixes if fix],
    }


def _map(record: RunRecord) -> dict[str, Any] | None:
    if record.checked is None or isinstance(record.checked.updates, Unavailable):
        return None
    return map_values(record.checked.updates)


def _unmapped(record: RunRecord) -> str:
    """Why there is no map of weights that are there."""
    checked = record.checked
    if checked is None or isinstance(checked.found.containers, Unavailable):
        return ""
    updates = checked.updates
    if not isinstance(updates, Unavailable):
        return ""
    return say("No map of what training changed: {reason}.", reason=updates.reason)


def _upload(record: RunRecord) -> dict[str, Any] | None:
    lines = list(upload_lines(record, verbose=False))
    if (done := record.uploaded) is not None:
        names = {item.key: item.name for item in done.plan.items}
        files = [
            {"name": names[o.key], "size": f"{o.size:,}", "crc": str(o.crc64)}
            for o in done.manifest.objects
        ]
        return {
            "title": say("Upload"),
            "caption": done.plan.destination.url,
            "sums": bool(files),
            "files": files,
            "notes": lines,
        }
    if record.planned is not None:
        plan = record.planned.plan
        return {
            "title": say("Plan"),
            "caption": plan.destination.url,
            "sums": False,
            "files": [{"name": i.name, "size": f"{i.size:,}"} for i in plan.items],
            "notes": lines or [human_size(plan.total_bytes)],
        }
    return None


def _job(record: RunRecord) -> list[tuple[str, str]]:
    if record.imported is None:
        return []
    job = record.imported.job
    created = job.created.astimezone() if job.created else None
    told = [
        (say("job"), job.job_id),
        (say("state"), job.told),
        (say("model"), job.model_name),
        (say("console name"), job.display_name),
        (say("created"), created.strftime("%Y-%m-%d %H:%M %z") if created else ""),
        (say("from"), job.source),
        (say("error"), job.error_code),
        *[(say("likely cause"), cause) for cause in record.imported.causes],
    ]
    return [(name, value) for name, value in told if value]


def _stages(record: RunRecord) -> Iterator[dict[str, str]]:
    """Each stage as a bar that begins where the one before it ended."""
    whole = sum(record.stages.values()) or 1.0
    start = 0.0
    for name, took in record.stages.items():
        yield {
            "name": known(name),
            "start": f"{100 * start / whole:.2f}",
            "width": f"{100 * took / whole:.2f}",
            "took": human_time(took) if took >= 10 else say("{took:.1f} s", took=took),
        }
        start += took
