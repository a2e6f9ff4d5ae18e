"""Several directories in one run: judged, the newest first, or pushed, as named."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from preflight.findings import Result, Severity, Verdict
from preflight.language import say
from preflight.record import ErrorRecord, RunRecord
from preflight.report import pushes
from preflight.report.answer import Tone, answer
from preflight.report.subject import label


@dataclass(frozen=True, slots=True)
class Summary:
    """One directory in a line: what became of it, and the further `cells`."""

    directory: str
    tone: Tone
    word: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Several:
    """Records of one command, in their order; `code` is the exit code of all.

    `parent`: the directory that was named and holds no model itself; `error`: why the
    report itself could not be written where it should, or what ended the whole run.
    """

    records: tuple[RunRecord, ...]
    code: int
    parent: str = ""
    error: ErrorRecord | None = None

    @classmethod
    def of(cls, records: Sequence[RunRecord], code: int, parent: str = "") -> Several:
        """Those of checks, with the newest first."""
        ordered = sorted(records, key=saved_at, reverse=True)
        return cls(tuple(ordered), code, parent)

    @property
    def command(self) -> str:
        """The command that was run."""
        return self.records[0].command

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
        if _is_sent(self):
            return say("DONE") if self.tone is Tone.GOOD else say("NOT DONE")
        return say("READY") if self.tone is Tone.GOOD else say("NOT READY")

    @property
    def rest(self) -> str:
        """What it is made of."""
        count, total = len(self.good), len(self.records)
        if _is_sent(self):
            words = pushes.counted(self.records)
            return say(
                "{count} of {total}: {words}", count=count, total=total, words=words
            )
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
        if self.command == "push":
            return pushes.following(self.records)
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

    @property
    def headings(self) -> tuple[str, ...]:
        """What stands above the columns of the summaries."""
        more: tuple[str, ...] = (say("errors"), say("warnings"), say("saved"))
        if self.command == "push":
            more = pushes.headings(self.records)
        return (say("directory"), say("verdict"), *more)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Which of the columns hold numbers, counted from 0."""
        return () if self.command == "push" else (2, 3)

    def summaries(self) -> tuple[Summary, ...]:
        """A line each."""
        cells = pushes.cells if self.command == "push" else _check_cells
        return tuple(_summary(record, cells(record)) for record in self.records)


def _is_sent(several: Several) -> bool:
    """Whether this is a push that was meant to send something."""
    return several.command == "push" and not several.records[0].dry_run


def saved_at(record: RunRecord) -> float:
    """When the newest file of a directory was written, in seconds."""
    if record.checked is None:
        return 0.0
    files = record.checked.found.files.values()
    return max((entry.mtime_ns for entry in files), default=0) / 1e9


def _summary(record: RunRecord, cells: tuple[str, ...]) -> Summary:
    found = answer(record)
    error = record.error.message if record.error else "-"
    if record.command == "push":
        error = say("FAILED")
    return Summary(
        label(record.directory),
        found.tone if found else Tone.BAD,
        found.word if found else error,
        cells,
    )


def _check_cells(record: RunRecord) -> tuple[str, ...]:
    """How much is wrong, and when the newest file was written."""
    at = saved_at(record)
    when = datetime.fromtimestamp(at).astimezone() if at else None
    errors, warnings = (_count(record, severity) for severity in Severity)
    return errors, warnings, when.strftime("%Y-%m-%d %H:%M %z") if when else "-"


def _count(record: RunRecord, severity: Severity) -> str:
    if not record.report.outcomes:
        return "-"
    failed = record.report.select(Result.FAILED)
    return str(sum(each.severity is severity for each in failed))
