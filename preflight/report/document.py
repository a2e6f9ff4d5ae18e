"""A run as one JSON-ready document; its schema is a promise to other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from preflight import __version__
from preflight.findings import Outcome, Problem, Report, Result, Verdict
from preflight.record import JobRecord, RunRecord, UploadRecord
from preflight.report.next_step import as_value

SCHEMA = 1


def verdict(record: RunRecord) -> Verdict:
    """The report's verdict; a run that could not be judged is a failed one."""
    if record.error is not None and not record.report.outcomes:
        return Verdict.FAIL
    return record.report.verdict


def _problem(problem: Problem) -> dict[str, Any]:
    """Fix and details only where this one problem has its own."""
    told: dict[str, Any] = {"where": problem.where, "message": problem.message}
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


def _upload(upload: UploadRecord) -> dict[str, Any]:
    return {
        "destination": upload.destination,
        # As OSS writes them; many readers of JSON do not hold 64 bits in a number.
        "files": [
            {"key": f.key, "size": f.size, "crc64": str(f.crc64)} for f in upload.files
        ],
        "generated": list(upload.generated),
        "left_behind": [
            {"name": f.name, "size": f.size, "reason": f.reason}
            for f in upload.left_behind
        ],
        "sent": upload.sent,
        "verified": upload.verified,
    }


def _path(directory: str) -> str:
    """Where the directory is, so that `status` finds it from anywhere."""
    return str(Path(directory).resolve()) if directory else ""


def _plan(plan: UploadRecord) -> dict[str, Any]:
    made = _upload(plan)
    del made["verified"], made["sent"]
    for file in made["files"]:
        del file["crc64"]  # not known before the bytes are read
    return made


def _job(job: JobRecord) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "status": job.status,
        "model_name": job.model_name,
        "display_name": job.display_name,
        "error_code": job.error_code,
        "request_id": job.request_id,
        "how": job.how,
    }


def counts(report: Report) -> dict[str, int]:
    """How many rules passed, failed and were skipped."""
    return {result.value: len(report.select(result)) for result in Result}


def as_document(record: RunRecord) -> dict[str, Any]:
    """Everything a run did; the same for a file, standard output and the record."""
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "preflight": __version__,
        "command": record.command,
        "exit_code": record.exit_code,
        "verdict": verdict(record).value,
        "directory": record.directory,
        "path": _path(record.directory),
        "weight_type": record.weight_type.value if record.weight_type else None,
        "base_model": record.base_model or None,
        "started": record.started.isoformat(),
        "seconds": {name: round(s, 3) for name, s in record.stages.items()},
        "counts": counts(record.report),
        "outcomes": [_outcome(outcome) for outcome in record.report.outcomes],
    }
    if record.command == "push":
        document["dry_run"] = record.dry_run
        document["sandbox"] = record.sandbox
        document["plan"] = _plan(record.plan) if record.plan else None
        document["upload"] = _upload(record.upload) if record.upload else None
    if record.command in ("push", "import", "wait"):
        document["job"] = _job(record.job) if record.job else None
        document["next_step"] = as_value(record)
    if record.notes or record.causes:
        document["notes"] = [*record.notes, *record.causes]
    if record.error is not None:
        document["error"] = {
            "message": record.error.message,
            "hint": record.error.hint,
            "request_id": record.error.request_id,
        }
    return document
