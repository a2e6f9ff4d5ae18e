"""A run that reports: followed on the terminal, recorded, told at its end."""

from __future__ import annotations

import contextlib
import threading
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from preflight.commands._flags import ReportPlace, report_places
from preflight.commands._shown import show_report
from preflight.directories import state_directory
from preflight.errors import NotReady, RulesFailed, UsageError
from preflight.failure import Failure, told_as_error
from preflight.findings import Unavailable
from preflight.language import say
from preflight.pipeline.imported import Imported
from preflight.progress import SENDING, Counting, Progress
from preflight.record import (
    ErrorRecord,
    Gatherer,
    RunRecord,
    StageProgress,
    record_path,
    save_record,
)
from preflight.report import render
from preflight.report.answer import once_more
from preflight.report.document import as_kept, job_document, verdict
from preflight.retry import RetryEvent
from preflight.system_errors import reason_of
from preflight.terminal import Terminal

_KEPT = ("push", "import")  # what changes something is recorded
_LONG = 1_000_000_000  # bytes; fewer are gone before a line is cut
_SAVE_SECONDS = 2.0  # between two records of one stage


class Recorder(Gatherer):
    """Shows a run on the terminal and keeps its record on disk up to date."""

    def __init__(self, record: RunRecord, terminal: Terminal) -> None:
        super().__init__(record)
        self._terminal = terminal
        self._path: Path | None = None
        self._saving, self._saved = threading.RLock(), time.monotonic()
        self._stage = ""  # that moved bytes last

    def begin(self) -> None:
        """Write the record for the first time; where that fails, none is kept."""
        state = state_directory()
        if self.record.command not in _KEPT or self.record.dry_run:
            return
        if isinstance(state, Unavailable):
            self.say(
                say("the run record could not be kept: {reason}", reason=state.reason)
            )
            return
        self._path = record_path(self.record, state)
        self.save()

    def save(self, *, durable: bool = True) -> None:
        """Write the record as it is now; failing to is no failure of the run.

        With `durable` the disk has it: how far a stage came is known after a loss of
        power, and only what came since the last stage is told late.
        """
        with self._saving:
            if self._path is None:
                return
            try:
                save_record(
                    as_kept(self.record),
                    self._path,
                    durable=durable,
                    ended=self.record.ended,
                )
            except OSError as exc:
                self._path = None
                self.say(
                    say(
                        "the run record could not be kept: {strerror}",
                        strerror=reason_of(exc),
                    )
                )

    def say(self, text: str) -> None:
        """On standard error, unless --quiet."""
        self._terminal.say(text)

    def retrying(self, event: RetryEvent) -> None:
        """An event for programs; people are told in sentences."""
        super().retrying(event)
        cause, waited = event.cause.message, round(event.waited, 3)
        self._terminal.event(
            "retry",
            attempt=event.number,
            pause=round(event.pause, 3),
            waited=waited,
            cause=cause,
        )

    def reached(self, value: object) -> None:
        """Kept; of a job programs hear each time that it was looked at."""
        super().reached(value)
        if isinstance(value, Imported):
            self._terminal.event("job", **job_document(value.job), how=value.how.value)

    def progress(self) -> Progress:
        """As the terminal shows it, and recorded now and then."""
        return Counting(self._terminal.progress(), self._moved)

    def _moved(self, stage: str, done: int, total: int) -> None:
        """From any thread; one of them writes, the others go on."""
        self.record.progress = StageProgress(stage, done, total)
        is_new, self._stage = stage != self._stage, stage
        if is_new and stage == SENDING:
            self._warn_of_the_line(total)
        now = time.monotonic()
        due = is_new or now - self._saved >= _SAVE_SECONDS
        if due and self._saving.acquire(blocking=False):
            try:
                self._saved = now
                self.save(durable=False)  # a worker must not wait for a busy disk
            finally:
                self._saving.release()

    def _warn_of_the_line(self, total: int) -> None:
        warn_of_the_line(self._terminal, self.record.argv, total)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Timed, and recorded at its end."""
        self._terminal.event("stage", stage=name, state="begin")
        with super().stage(name):
            yield
        seconds = round(self.record.stages[name], 3)
        self._terminal.event("stage", stage=name, state="end", seconds=seconds)
        self.save()


def warn_of_the_line(terminal: Terminal, argv: Sequence[str], total: int) -> None:
    """A long upload ends with the SSH session that it was typed in."""
    if total >= _LONG and terminal.dies_with_its_line:
        terminal.say(
            say(
                "note  when this SSH line is cut, the upload ends: what was sent "
                "stays safe in OSS, and the same command goes on (tmux would "
                "outlive the line): {command}",
                command=once_more(argv),
            )
        )


def reported(
    arguments: Namespace,
    terminal: Terminal,
    record: RunRecord,
    work: Callable[[Recorder], int],
) -> int:
    """Do `work` and report, however it ends; the exit code.

    What `work` raises is told in a sentence, after a report of how far it came.
    """
    record.argv = arguments.words
    places = report_places(arguments)
    recorder = Recorder(record, terminal)
    recorder.begin()
    failure: Failure | None = None
    try:
        record.exit_code = work(recorder)
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - told in a sentence
        failure = told_as_error(exc, arguments.words, stage=record.stage)
        error = failure.error
        record.exit_code = error.exit_code
        record.error = ErrorRecord(error.message, error.hint, error.request_id)
    record.ended = True
    recorder.save()

    def failed(error: UsageError) -> None:
        """It must not hide how the run itself ended."""
        record.exit_code = record.exit_code or error.exit_code
        record.unwritten = ErrorRecord(error.message, error.hint)

    try:
        unwritten = show_report(arguments, terminal, partial(render, record), failed)
    except UsageError as exc:
        failed(exc)
        unwritten = exc
    if unwritten is not None:
        terminal.tell(unwritten)
    if failure is not None and not _is_told(failure, places):
        failure.tell(terminal, verbose=arguments.verbose > 1)
    told = verdict(record).value
    terminal.event("end", exit_code=record.exit_code, verdict=told)
    return record.exit_code


def _is_told(failure: Failure, places: Sequence[ReportPlace]) -> bool:
    """Whether the report that was just shown says it all: a verdict is no error."""
    shown = any(place == ReportPlace("text") for place in places)
    return shown and isinstance(failure.error, (NotReady, RulesFailed))
