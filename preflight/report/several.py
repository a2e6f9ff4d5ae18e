"""Several directories that were judged in one run, the newest first."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from preflight.findings import Result, Severity, Verdict
from preflight.language import say
from preflight.record import ErrorRecord, RunRecord
from preflight.report.answer import Tone, answer
from preflight.report.subject import label


@dataclass(frozen=True, slots=True)
class Summary:
    """One directory in a line; `errors` and `warnings` are `-` where none was judged.

    `saved`: when the newest of its files was written, in words.
    """

    directory: str
    tone: Tone
    word: str
    errors: str
    warnings: str
    saved: str


@dataclass(frozen=True, slots=True)
class Several:
    """Records of checks, the newest first; `code` is the exit code of all.

    `parent`: the directory that was named and holds no model itself; `error`: why the
    report itself could not be written where it should.
    """

    records: tuple[RunRecord, ...]
    code: int
    parent: str = ""
    error: ErrorRecord | None = None

    @classmethod
    def of(cls, records: Sequence[RunRecord], code: int, parent: str = "") -> Several:
        """With the newest first."""
        ordered = sorted(records, key=saved_at, reverse=True)
        return cls(tuple(ordered), code, parent)

    @property
    def good(self) -> tuple[RunRecord, ...]:
        """Those that are ready."""
        return tuple(each for each in self.records if each.exit_code == 0)

    @property
    def tone(self) -> Tone:
        """Whether all are ready, and the place that was named is itself one of them."""
        whole = len(self.good) == len(self.records) and not self.parent
        return Tone.GOOD if whole else Tone.BAD

    @property
    def word(self) -> str:
        """The verdict."""
        return say("READY") if self.tone is Tone.GOOD else say("NOT READY")

    @property
    def rest(self) -> str:
        """What it is made of."""
        count, total = len(self.good), len(self.records)
        ready = say("{count} of {total} ready", count=count, total=total)
        if not self.parent:
            return ready
        return say(
            "{name} holds no model itself; below it {total}",
            name=label(self.parent),
            total=ready,
        )

    @property
    def following(self) -> str:
        """The command to go on with: of the newest that is ready, if there is one."""
        if self.good:
            found = answer(self.good[0])
            return found.following if found else ""
        return f"preflight check {shlex.quote(self.records[0].directory)}"

    @property
    def verdict(self) -> Verdict:
        """The worst of all."""
        verdicts = {record.report.verdict for record in self.records}
        if any(record.error is not None for record in self.records):
            return Verdict.FAIL
        for worst in (Verdict.FAIL, Verdict.WARN):
            if worst in verdicts:
                return worst
        return Verdict.PASS

    def summaries(self) -> tuple[Summary, ...]:
        """A line each."""
        return tuple(map(_summary, self.records))


def headings() -> tuple[str, ...]:
    """What stands above the columns of the summaries."""
    return (
        say("directory"),
        say("verdict"),
        say("errors"),
        say("warnings"),
        say("saved"),
    )


def saved_at(record: RunRecord) -> float:
    """When the newest file of a directory was written, in seconds."""
    if record.checked is None:
        return 0.0
    files = record.checked.found.files.values()
    return max((entry.mtime_ns for entry in files), default=0) / 1e9


def _summary(record: RunRecord) -> Summary:
    found, at = answer(record), saved_at(record)
    when = datetime.fromtimestamp(at).astimezone() if at else None
    error = record.error.message if record.error else "-"
    errors, warnings = (_count(record, severity) for severity in Severity)
    return Summary(
        label(record.directory),
        found.tone if found else Tone.BAD,
        found.word if found else error,
        errors,
        warnings,
        when.strftime("%Y-%m-%d %H:%M %z") if when else "-",
    )


def _count(record: RunRecord, severity: Severity) -> str:
    if not record.report.outcomes:
        return "-"
    failed = record.report.select(Result.FAILED)
    return str(sum(each.severity is severity for each in failed))
