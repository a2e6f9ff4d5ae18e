"""The report for people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from preflight.findings import Outcome, Result, Severity, WeightType
from preflight.model.text import printable
from preflight.progress import human_size, human_time
from preflight.record import RunRecord, UploadRecord
from preflight.report.document import counts
from preflight.report.next_step import as_lines
from preflight.rules import RULES

_MANUALS = {rule.code: rule.manual for rule in RULES}


@dataclass(frozen=True, slots=True)
class Style:
    """How to write: with colour, and with every rule or only those that failed."""

    color: bool = False
    verbose: bool = False

    def paint(self, text: str, code: str) -> str:
        """`text` in the terminal colour `code`, if colour is wanted."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.color else text


_FOUND = ("already done", "found after a lost answer")
_COLORS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33"}


def _why(code: str) -> str:
    """The first paragraph of a rule's manual, on one line."""
    return " ".join(_MANUALS.get(code, "").split("\n\n", 1)[0].split())


def _failed(outcome: Outcome, style: Style) -> Iterator[str]:
    word = style.paint(outcome.severity.value, _COLORS[outcome.severity])
    yield f"{word} {outcome.code} {outcome.name}"
    for problem in outcome.problems:
        where = f"{problem.where}: " if problem.where else ""
        yield f"  {where}{problem.message}"
    hidden = outcome.count - len(outcome.problems)
    if hidden > 0:
        yield f"  and {hidden:,} more"
    if why := _why(outcome.code):
        yield f"  why  {why}"
    if outcome.fix:
        yield f"  fix  {outcome.fix}"
    yield ""


def _listed(record: RunRecord, style: Style) -> Iterator[str]:
    """Every rule on one line, for those who asked for it."""
    for outcome in record.report.outcomes:
        reason = f" ({outcome.reason})" if outcome.reason else ""
        yield f"{outcome.result.value:8}{outcome.code} {outcome.name}{reason}"
    if style.verbose and record.report.outcomes:
        yield ""


def _skipped(record: RunRecord) -> str:
    reasons: dict[str, int] = {}
    for outcome in record.report.select(Result.SKIPPED):
        reasons[outcome.reason] = reasons.get(outcome.reason, 0) + 1
    return "; ".join(reasons)


def _upload(upload: UploadRecord, verb: str) -> Iterator[str]:
    total = human_size(sum(file.size for file in upload.files))
    yield f"{verb} {len(upload.files)} files, {total}, {upload.destination}"
    for file in upload.files:
        crc = f"  crc64 {file.crc64}" if upload.verified else ""
        yield f"  {printable(file.key)}  {file.size:,} bytes{crc}"
    if upload.left_behind:
        size = human_size(sum(left.size for left in upload.left_behind))
        yield f"left behind {len(upload.left_behind)} files, {size}"
        for left in upload.left_behind[:8]:
            yield f"  {printable(left.name)}: {left.reason}"
        if len(upload.left_behind) > 8:
            yield f"  and {len(upload.left_behind) - 8:,} more"


def _sum(record: RunRecord) -> str:
    number = counts(record.report)
    skipped = f" ({_skipped(record)})" if number["skipped"] else ""
    text = (
        f"{number['passed']} passed, {number['failed']} failed, "
        f"{number['skipped']} skipped{skipped}"
    )
    uploads = record.command == "push" and record.upload is None
    return f"{text}; nothing was uploaded" if uploads else text


def _lines(record: RunRecord, style: Style) -> Iterator[str]:
    if style.verbose:
        yield from _listed(record, style)
    for outcome in record.report.select(Result.FAILED):
        yield from _failed(outcome, style)
    if record.upload is not None:
        yield from _upload(record.upload, "uploaded")
    elif record.dry_run and record.plan is not None:
        yield from _upload(record.plan, "would upload")
    yield from record.notes
    if record.report.outcomes:
        yield _sum(record)
    if record.job is not None:
        yield from _imported(record)


def _stages(record: RunRecord) -> Iterator[str]:
    """How long each stage took, on one line."""
    took = [f"{name} {human_time(s)}" for name, s in record.stages.items() if s >= 1]
    if took:
        yield f"stages: {', '.join(took)}"


def _imported(record: RunRecord) -> Iterator[str]:
    """The job, and last of all what was imported under which name."""
    job = record.job
    if job is None:
        return
    code = f" ({printable(job.error_code)})" if job.error_code else ""
    yield from _stages(record)
    yield from as_lines(record)
    how = f", {job.how}" if job.how in _FOUND else ""
    yield f"job {printable(job.job_id)}: {printable(job.status)}{code}{how}"
    if record.exit_code == 0:
        named = f" ({printable(job.display_name)})" if job.display_name else ""
        model = f"{printable(job.model_name)}{named}"
        verb = "imported" if job.is_done else "submitted"
        yield f"{verb} {_what(record)}as model {model}"


def _what(record: RunRecord) -> str:
    """The directory and what it holds; nothing for a job of an earlier run."""
    if record.weight_type is None:
        return ""
    kind = "an adapter of" if record.weight_type is WeightType.LORA else "weights of"
    where = " in the sandbox" if record.sandbox else ""
    return f"{printable(record.directory)}, {kind} {record.base_model},{where} "


def render_text(record: RunRecord, style: Style | None = None) -> str:
    """The report as lines; empty when there is nothing to tell."""
    lines = list(_lines(record, style or Style()))
    return "\n".join(lines) + "\n" if lines else ""
