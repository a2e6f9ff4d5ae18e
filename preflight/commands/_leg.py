"""One of several directories: recorded as a push of its own, told in few lines."""

from __future__ import annotations

from argparse import Namespace

from preflight.commands._manifests import keep_manifest
from preflight.commands._recorder import Recorder
from preflight.errors import RulesFailed
from preflight.failure import Failure, told_as_error
from preflight.language import glued, say
from preflight.progress import Counting, Progress, ProgressMode
from preflight.progress.shared import PlacedProgress
from preflight.record import ErrorRecord, RunRecord
from preflight.report.answer import answer
from preflight.report.subject import label
from preflight.terminal import Terminal


class LegRecorder(Recorder):
    """Keeps a record of its own, and counts in the `share` of a common progress.

    `terminal` is one whose lines name the directory.
    """

    def __init__(
        self, record: RunRecord, terminal: Terminal, arguments: Namespace
    ) -> None:
        super().__init__(record, terminal)
        self._arguments = arguments
        self.share: Progress | None = None
        self._place = label(record.directory)

    def numbered(self, number: int, total: int) -> str:
        """What it is called in the common progress from now on."""
        if self._terminal.mode is not ProgressMode.JSON:
            self._place = f"{number}/{total}  {label(self.record.directory)}"
        return self._place

    def say(self, text: str) -> None:
        """What happens within a stage, such as an outage; the rest with -v alone.

        Between its stages a push tells what it is going to do and what it did: of many
        directories the table tells that.
        """
        if self.record.stage or self._arguments.verbose:
            super().say(text)

    def progress(self) -> Progress:
        """The common one, once there is one."""
        shown = self.share or PlacedProgress(self._terminal.progress(), self._place)
        return Counting(shown, self._moved)

    def _warn_of_the_line(self, total: int) -> None:
        """It is told once, of all directories together."""

    def ended(self, error: BaseException | None) -> None:
        """Record it and tell it in a line."""
        if error is not None:
            words = self._arguments.words
            self._failed(told_as_error(error, words, stage=self.record.stage))
        if not self.record.dry_run:
            keep_manifest(self, sha256=self._arguments.sha256)
        self._closed()

    def broken_off(self, failure: Failure) -> None:
        """The whole run ended before this one did."""
        self._failed(failure)
        self.record.ended = True
        self.save()

    def _failed(self, failure: Failure) -> None:
        error, record = failure.error, self.record
        record.exit_code = error.exit_code
        record.error = ErrorRecord(error.message, error.hint, error.request_id)

    def _closed(self) -> None:
        self.record.ended = True
        self.save()
        found, error = answer(self.record), self.record.error
        if found is None:
            told = error.message if error else ""
        elif error is not None and self.record.exit_code != RulesFailed.exit_code:
            told = glued(found.word, "  ", error.message)
        else:
            told = glued(found.word, "  ", found.rest)
        if not self.record.dry_run:
            self._terminal.say(told or say("done"))
