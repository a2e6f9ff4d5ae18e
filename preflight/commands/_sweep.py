"""`push` of several directories: under one progress, told in one table."""

from __future__ import annotations

import threading
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace

from preflight.api import check_options, settings_reader
from preflight.commands._flags import ReportPlace, check_flags, losses_of, report_places
from preflight.commands._leg import LegRecorder
from preflight.commands._many import report_many
from preflight.commands._recorder import warn_of_the_line
from preflight.commands._settings import read_settings
from preflight.destination import DestinationTemplate
from preflight.directories import state_directory
from preflight.errors import PreflightError, UsageError
from preflight.failure import Failure, told_as_error
from preflight.language import say, say_n
from preflight.pipeline.apart import require_apart
from preflight.pipeline.awaited import wait_for_all
from preflight.pipeline.options import PushOptions, Waiting
from preflight.pipeline.places import ModelPlace
from preflight.pipeline.services import bucket_access
from preflight.pipeline.sweep import Leg, check_all, going, send_all
from preflight.progress import human_size
from preflight.progress.shared import SharedProgress
from preflight.record import ErrorRecord, Gatherer, RunRecord
from preflight.report.several import Several
from preflight.report.subject import label
from preflight.settings import Need, Settings
from preflight.terminal import Terminal
from preflight.upload.parts import TransferOptions


def push_many(
    arguments: Namespace,
    terminal: Terminal,
    places: Sequence[ModelPlace],
    template: DestinationTemplate,
    environ: Mapping[str, str],
    transfer: TransferOptions,
) -> int:
    """Push each of the places and tell all in one report; the exit code.

    Raises `UsageError` and `ConfigurationError` for what cannot be carried out at all,
    before anything begins.
    """
    if arguments.display_name:
        raise UsageError(
            say(
                "--display-name gives one name to {count} models",
                count=len(places),
            ),
            hint=say("leave it out: their names follow from the destination"),
        )
    needs = () if arguments.dry_run else tuple(Need)
    settings = read_settings(arguments, terminal, *needs, environ=environ)
    settings.require(*needs)
    read = settings_reader(needs, environ)
    options = [_options(arguments, place, template, transfer, read) for place in places]
    require_apart(template, [each.check.source.location for each in options])
    sweep = _Sweep(arguments, terminal, settings)
    for place, each in zip(places, options, strict=True):
        sweep.add(place, each, transfer)
    return sweep.run()


def not_begun(
    arguments: Namespace,
    terminal: Terminal,
    places: Sequence[ModelPlace],
    error: PreflightError,
) -> int:
    """Tell what could not be carried out at all in the reports that programs read.

    Raises the error itself where there are none.
    """
    if all(place == ReportPlace("text") for place in report_places(arguments)):
        raise error
    told = ErrorRecord(error.message, error.hint, error.request_id)
    records = [
        RunRecord("push", str(place), error=told, exit_code=error.exit_code)
        for place in places
    ]
    several = Several(tuple(records), error.exit_code, error=told)
    code = report_many(arguments, terminal, several)
    terminal.tell(error)
    return code


def _options(
    arguments: Namespace,
    place: ModelPlace,
    template: DestinationTemplate,
    transfer: TransferOptions,
    read: Callable[[], Settings],
) -> PushOptions:
    waiting = Waiting(arguments.timeout, arguments.poll_interval)
    return PushOptions(
        check_options(place, check_flags(arguments)),
        template,
        waiting=None if arguments.no_wait else waiting,
        dry_run=arguments.dry_run,
        again=arguments.again,
        replace=arguments.replace,
        tag_bucket=arguments.tag_bucket,
        base_config=not arguments.no_base_config,
        imports=not arguments.no_import,
        transfer=transfer,
        state=state_directory(),
        credentials=lambda: bucket_access(read()).keys,
        judge_first=arguments.all_or_nothing,
    )


class _General(Gatherer):
    """Follows what is of no one directory."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(RunRecord("push"))
        self._terminal = terminal

    def say(self, text: str) -> None:
        """On standard error, unless --quiet."""
        self._terminal.say(text)


@dataclass(slots=True)
class _Sweep:
    """The legs and their recorders, in the order in which they were named."""

    arguments: Namespace
    terminal: Terminal
    settings: Settings
    legs: list[Leg]
    recorders: list[LegRecorder]
    stop: threading.Event

    def __init__(
        self, arguments: Namespace, terminal: Terminal, settings: Settings
    ) -> None:
        self.arguments, self.terminal, self.settings = arguments, terminal, settings
        self.legs, self.recorders = [], []
        self.stop = threading.Event()

    def add(
        self, place: ModelPlace, options: PushOptions, transfer: TransferOptions
    ) -> None:
        """One more directory."""
        arguments = self.arguments
        record = RunRecord(
            "push",
            str(place),
            dry_run=arguments.dry_run,
            sandbox=arguments.sandbox,
            service=self.settings.base_url.value,
            transfer=transfer,
            argv=arguments.words,
        )
        terminal = replace(self.terminal, place=label(record.directory))
        recorder = LegRecorder(record, terminal, arguments)
        self.recorders.append(recorder)
        self.legs.append(Leg(self._opening(options, recorder), recorder))

    def _opening(
        self, options: PushOptions, recorder: LegRecorder
    ) -> AbstractContextManager[PushOptions]:
        if not self.arguments.fix:
            return nullcontext(options)
        from preflight.repair.on_the_way import repaired_on_the_way

        return repaired_on_the_way(options, losses_of(self.arguments), recorder)

    def run(self) -> int:
        """All of it, however it ends; the exit code."""
        failure: Failure | None = None
        try:
            self._go()
        except BrokenPipeError:
            raise
        except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - told in a sentence
            failure = told_as_error(exc, self.arguments.words)
            for leg, recorder in zip(self.legs, self.recorders, strict=True):
                if not leg.over:
                    leg.close()
                    recorder.broken_off(failure)
        records = tuple(recorder.record for recorder in self.recorders)
        several = Several(records, self._code(failure))
        if failure is not None:
            error = failure.error
            told = ErrorRecord(error.message, error.hint, error.request_id)
            several = replace(several, error=told)
        code = report_many(self.arguments, self.terminal, several)
        if failure is not None:
            failure.tell(self.terminal, verbose=self.arguments.verbose > 1)
        return code

    def _code(self, failure: Failure | None) -> int:
        """That of all which failed, where it is the same; else 1."""
        if failure is not None:
            return failure.error.exit_code
        codes = {each.record.exit_code for each in self.recorders} - {0}
        return codes.pop() if len(codes) == 1 else int(bool(codes))

    def _go(self) -> None:
        for number, recorder in enumerate(self.recorders, 1):
            recorder.numbered(number, len(self.legs))
            recorder.begin()
        check_all(self.legs)
        ready = going(self.legs)
        failed = len(self.legs) - len(ready)
        if self.arguments.dry_run or (self.arguments.all_or_nothing and failed):
            for leg in ready:
                leg.end()
            return
        if not ready:
            return
        with self._progress(ready):
            send_all(self.legs, self.settings, self.stop)
        wait_for_all(self.legs, self.settings, _General(self.terminal))

    @contextmanager
    def _progress(self, ready: Sequence[Leg]) -> Iterator[None]:
        """One progress over all that is sent, and before it what that is."""
        total = sum(leg.size for leg in ready)
        self.terminal.say(
            say_n(
                "plan  {ready} of {count} directory, {size}",
                "plan  {ready} of {count} directories, {size}",
                count=len(self.legs),
                ready=len(ready),
                size=human_size(total),
            )
        )
        warn_of_the_line(self.terminal, self.arguments.words, total)
        shown = SharedProgress(self.terminal.progress(), total)
        sending = {id(leg.follower) for leg in ready}
        recorders = [each for each in self.recorders if id(each) in sending]
        for number, recorder in enumerate(recorders, 1):
            recorder.share = shown.share(recorder.numbered(number, len(ready)))
        try:
            yield
        finally:
            shown.finish()
