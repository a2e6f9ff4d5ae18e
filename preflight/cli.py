"""The command line: parse, dispatch, print errors. No exception escapes it."""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import NoReturn

from preflight.commands import load_command
from preflight.errors import Interrupted, PreflightError, UsageError
from preflight.failure import Termination, told_as_error
from preflight.help import argparse_marked
from preflight.language import ENGLISH, can_write, chosen_language, say, speaking
from preflight.parser import BadArguments, parse, whole_parser, without_language
from preflight.progress import ProgressMode
from preflight.terminal import Terminal, discard, prepare_streams
from preflight.text import shortened

_ENDING = ("SIGTERM", "SIGHUP")  # before preemption, and when a terminal goes away


class _Escaping(logging.Handler):
    """What libraries and modules log may hold names from files, too."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """One line for each line of the message."""
        # `format` would make plain text of a message, before it is translated.
        text = record.getMessage() if record.exc_info is None else self.format(record)
        for line in [text] if "\n" not in text else text.splitlines():
            self._terminal.complain(shortened(line, 4000))


def _wants_color(choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    plain = os.environ.get("TERM") == "dumb"
    return sys.stdout is not None and sys.stdout.isatty() and not plain


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, sent by schedulers before they preempt, ends a run like Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise Termination

    before = {}
    try:
        for name in _ENDING:
            number = getattr(signal, name)
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks
                before[number] = signal.signal(number, end)
    except ValueError:  # not in the main thread: a program that calls main()
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _logging(terminal: Terminal, verbose: int) -> Iterator[None]:
    """What is logged during a run is told on the terminal."""
    handler, root = _Escaping(terminal), logging.getLogger()
    ours = logging.getLogger("preflight")
    before = ours.level
    ours.setLevel(logging.DEBUG if verbose > 1 else logging.WARNING)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        ours.setLevel(before)


def _run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """The command; what it raises is told in a sentence, as a document if asked."""
    try:
        with _terminable():
            return load_command(arguments.command).run(arguments, terminal)
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - told in a sentence
        failure = told_as_error(exc, arguments.words)
        if _wants_document(arguments):
            _show_document(arguments.command, failure.error, terminal)
        failure.tell(terminal, verbose=arguments.verbose > 1)
        return failure.error.exit_code


def _wants_document(arguments: argparse.Namespace) -> bool:
    forms = getattr(arguments, "formats", None) or [getattr(arguments, "format", "")]
    return "json" in forms


def _show_document(command: str, error: PreflightError, terminal: Terminal) -> None:
    """The least that a program gets: every exit code comes with a document."""
    from preflight.report.document import envelope  # it knows all stages of a run

    with contextlib.suppress(UsageError):  # standard output is closed or full
        terminal.show_document(
            {
                **envelope(command, error.exit_code),
                "verdict": "fail",
                "error": {
                    "message": error.message,
                    "hint": error.hint,
                    "request_id": error.request_id,
                },
            }
        )


def _refused(bad: BadArguments, words: Sequence[str]) -> int:
    """A malformed command line, told as everything else."""
    error = UsageError(bad.message, hint=f"{bad.prog} --help")
    terminal = Terminal()
    asked = zip(words, [*words[1:], ""], strict=True)
    if "--format=json" in words or ("--format", "json") in asked:
        _show_document(bad.prog.removeprefix("preflight").strip(), error, terminal)
    terminal.tell(error)
    return error.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's) and return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    rest, asked = without_language(words)
    language = asked or chosen_language(os.environ)
    if not all(can_write(each, language) for each in (sys.stdout, sys.stderr)):
        language = ENGLISH
    with speaking(language, asked=bool(asked)), argparse_marked():
        return _main(words, rest)


def _main(words: Sequence[str], rest: Sequence[str]) -> int:
    """`rest`: the words without the language, which is settled."""
    try:
        arguments = parse(rest)
        _loaded()
        arguments.words = tuple(words)
        arguments.whole_parser = whole_parser
        mode = ProgressMode(getattr(arguments, "progress", ProgressMode.AUTO))
        color = _wants_color(arguments.color)
        terminal = Terminal(arguments.quiet, mode, color=color)
        with _logging(terminal, arguments.verbose):
            return _run(arguments, terminal)
    except BadArguments as bad:
        return _refused(bad, words)
    except BrokenPipeError:
        # The reader went away (`| head`): nothing more can be told, to anyone.
        discard(sys.stdout)
        discard(sys.stderr)
        return 141
    except KeyboardInterrupt:
        return Interrupted.exit_code


def _loaded() -> None:
    """Collect garbage from now on, if `entry` turned it off; what is there stays."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def entry() -> NoReturn:
    """The console script."""
    if not sys.warnoptions:  # oss2's sources warn on newer Pythons; no user can mend it
        warnings.simplefilter("ignore")
    prepare_streams()
    try:
        code = main()
    except SystemExit as end:  # of --help and --version
        code = end.code if isinstance(end.code, int) else 0
    code = _written(code)
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:  # full or closed: Python would try again, and end with 120
        discard(sys.stderr)
    sys.exit(code)


def _written(code: int) -> int:
    """The exit code, unless what argparse printed reaches nobody."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
        return 141
    except OSError as exc:
        discard(sys.stdout)
        error = UsageError(
            say("cannot write to standard output: {why}", why=exc.strerror)
        )
        Terminal().tell(error)
        return code or error.exit_code
    return code
