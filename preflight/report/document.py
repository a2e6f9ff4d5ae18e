"""A run as one JSON-ready document; its schema is a promise to other programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from preflight import __version__
from preflight.findings import Outcome, Problem, Report, Result, Verdict
from preflight.pipeline.imported import Imported
from preflight.pipeline.planned import obstacle
from preflight.pipeline.shared import Brought
from preflight.pipeline.uploaded import BrokenOff, Uploaded
from preflight.record import ErrorRecord, RunRecord
from preflight.report.next_step import as_value
from preflight.report.repairs import repair_document
from preflight.studio.jobs import ImportJob
from preflight.upload.plan import UploadPlan

SCHEMA = 1


def verdict(record: RunRecord) -> Verdict:
    """The report's verdict; a run that could not be judged is a failed one."""
    if record.error is not None and not record.report.outcomes:
        return Verdict.FAIL
    return record.report.verdict


def usable(record: RunRecord) -> bool:
    """Whether the directory would import as it is, with what was told about it."""
    checked = record.checked
    if checked is None or not record.report.outcomes:
        return False
    return record.report.verdict is not Verdict.FAIL and obstacle(checked) is None


def _problem(problem: Problem) -> dict[str, Any]:
    """Severity, fix and details only where this one problem has its own."""
    told: dict[str, Any] = {"where": problem.where, "message": problem.message}
    if problem.severity is not None:
        told["severity"] = problem.severity.value
    if problem.fix:
        told["fix"] = problem.fix
    if problem.details:
        told["details"] = list(problem.details)
    return told


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "code": outcome.code,
        "name": outcome.name,
        "severity": outcome.severity.value,
        "result": outcome.result.value,
        "reason": outcome.reason,
        "problems": [_problem(problem) for problem in outcome.problems],
        "problem_count": outcome.count,
        "fix": outcome.fix,
    }


def _upload(upload: Uploaded) -> dict[str, Any]:
    return {
        **_plan(upload.plan),
        # As OSS writes them; many readers of JSON do not hold 64 bits in a number.
        "files": [
            {"key": each.key, "size": each.size, "crc64": str(each.crc64)}
            for each in upload.manifest.objects
        ],
        "sent": upload.sent,
        "complete": True,
        "verified": upload.verified,
    }


def _not_seen(upload: BrokenOff | Brought) -> dict[str, Any]:
    """Of an upload that was broken off, or is a share, no file can be seen for sure."""
    told = {"files": [], "sent": upload.sent, "complete": False, "verified": False}
    return {**_plan(upload.plan), **told}


def _uploaded(record: RunRecord) -> dict[str, Any] | None:
    if record.uploaded is not None:
        return _upload(record.uploaded)
    if record.brought is not None:
        return _not_seen(record.brought)
    return _not_seen(record.broken_off) if record.broken_off else None


def _retries(record: RunRecord) -> list[dict[str, Any]]:
    """What was tried again, by cause."""
    return [
        {
            "cause": cause,
            "attempts": each.attempts,
            "waited": round(each.waited, 3),
            "last": each.last.isoformat(),
        }
        for cause, each in list(record.retries.items())
    ]


def _path(directory: str) -> str:
    """Where the directory is, so that `status` finds it from anywhere."""
    if "://" in directory:
        return directory
    return str(Path(directory).resolve()) if directory else ""


def _plan(plan: UploadPlan) -> dict[str, Any]:
    """What would go up; no CRC-64 is known before the bytes are read."""
    return {
        "destination": plan.destination.url,
        "files": [{"key": item.key, "size": item.size} for item in plan.items],
        "generated": [i.key for i in plan.items if isinstance(i.source, bytes)],
        "left_behind": [
            {"name": each.name, "size": each.size, "reason": each.reason}
            for each in plan.excluded
        ],
    }


def job_document(job: ImportJob) -> dict[str, Any]:
    """A job as every command tells it to programs."""
    return {
        "job_id": job.job_id,
        "status": job.status,
        "state": job.word,
        "model_name": job.model_name,
        "display_name": job.display_name,
        "weight_type": job.weight_type.value if job.weight_type else None,
        "source": job.source,
        "error_code": job.error_code,
        "created": job.created.isoformat() if job.created else None,
        "request_id": job.request_id,
    }


def _imported(imported: Imported) -> dict[str, Any]:
    return {**job_document(imported.job), "how": imported.how.value}


def counts(report: Report) -> dict[str, int]:
    """How many rules passed, failed and were skipped."""
    return {result.value: len(report.select(result)) for result in Result}


def envelope(command: str, exit_code: int = 0, **values: object) -> dict[str, Any]:
    """What the document of every command begins with, and what is its own."""
    return {
        "schema": SCHEMA,
        "preflight": __version__,
        "command": command,
        "exit_code": exit_code,
        **values,
    }


def as_kept(record: RunRecord) -> dict[str, Any]:
    """The document of a run with what tells its life, as it is kept on disk."""
    life: dict[str, Any] = {
        "ended": record.ended,
        "pid": record.process.pid,
        "host": record.process.host,
        "born": record.process.born,
        "argv": list(record.argv),
        "stage": record.stage,
        "updated": datetime.now(timezone.utc).isoformat(),
        "progress": asdict(record.progress) if record.progress else None,
    }
    return {**as_document(record), "run": life}


def as_document(record: RunRecord) -> dict[str, Any]:
    """Everything a run did; the same for a file, standard output and the record."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "preflight": __version__,
        "command": record.command,
        "exit_code": record.exit_code,
        "verdict": verdict(record).value,
        "usable": usable(record),
        "directory": record.directory,
        "path": _path(record.directory),
        "weight_type": record.weight_type.value if record.weight_type else None,
        "base_model": record.base_model or None,
        "started": record.started.isoformat(),
        "seconds": {name: round(s, 3) for name, s in list(record.stages.items())},
        "counts": counts(record.report),
        "outcomes": [_outcome(outcome) for outcome in record.report.outcomes],
    }
    if record.command == "push":
        document["dry_run"] = record.dry_run
        document["sandbox"] = record.sandbox
        document["plan"] = _plan(record.planned.plan) if record.planned else None
        document["upload"] = _uploaded(record)
        if record.task is not None:
            document["task"] = {"rank": record.task.rank, "count": record.task.count}
    if record.repaired is not None:
        document["repair"] = repair_document(record.repaired)
    if record.command in ("push", "import", "wait"):
        document["job"] = _imported(record.imported) if record.imported else None
        document["next_step"] = as_value(record)
        document["retries"] = _retries(record)
    causes = record.imported.causes if record.imported else ()
    if record.notes or causes:
        document["notes"] = [*record.notes, *causes]
    if error := record.error or record.unwritten:
        document["error"] = error_document(error)
    return document


def error_document(error: ErrorRecord) -> dict[str, str]:
    """Why a run ended early."""
    return {
        "message": error.message,
        "hint": error.hint,
        "request_id": error.request_id,
    }
