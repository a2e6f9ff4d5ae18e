"""The command line: parse, call one typed function, render, return a code."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

from preflight.arguments import Namespace, parse
from preflight.commands import find_command
from preflight.errors import Interrupted, PreflightError, Terminated, UsageError
from preflight.record import (
    ErrorRecord,
    RunRecord,
    save_record,
    state_directory,
    write_whole,
)
from preflight.report.as_json import render_json
from preflight.report.as_text import Style, render_text
from preflight.report.document import as_document
from preflight.settings import load_settings
from preflight.terminal import Terminal, discard, prepare_streams
from preflight.text import printable

_REPORTING = ("check", "push", "import", "wait")


class _Escaping(logging.StreamHandler[TextIO]):
    """What libraries and modules log may hold names from files, too."""

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines()
        return "\n".join(printable(line, 4000) for line in lines)


class _Termination(KeyboardInterrupt):
    """SIGTERM; as with Ctrl-C, no `except Exception` on its way may swallow it."""


def _wants_color(args: Namespace) -> bool:
    if args.color != "auto":
        return bool(args.color == "always")
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stdout is not None and sys.stdout.isatty() and not plain


def _report(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Write the report to where it was asked for, and the run record."""
    to_file = args.output is not None
    if args.format == "json":
        text = render_json(record)
    else:
        style = Style(_wants_color(args) and not to_file, verbose=args.verbose > 0)
        text = render_text(record, style)
    if not to_file:
        screen.show(text)
        return
    try:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.output, text)
    except OSError as exc:
        shown = str(args.output)
        screen.show(text)  # better there than lost
        raise UsageError(
            f"cannot write {shown}: {exc.strerror}",
            hint="another place; the report went to standard output instead",
        ) from exc


def _keep(record: RunRecord, screen: Terminal) -> None:
    """Leave the record of a push or import; failing to is no failure of the run."""
    if record.command not in ("push", "import") or record.dry_run:
        return
    try:
        save_record(as_document(record), record, state_directory(os.environ))
    except OSError as exc:
        screen.say(f"the run record could not be kept: {exc.strerror}")


def _complain(error: PreflightError, screen: Terminal) -> None:
    screen.complain(f"preflight: {error.message}")
    if error.hint:
        screen.complain(f"  try  {error.hint}")
    if error.request_id:
        screen.complain(f"  request id  {error.request_id}")


def _trace(screen: Terminal) -> None:
    """The traceback of what went wrong; a server's words in it may echo a key."""
    text = traceback.format_exc()
    for secret in load_settings(dict(os.environ), home=Path.home()).secrets():
        text = text.replace(secret, "***")
    for line in text.splitlines():
        screen.complain(line)


def _again(argv: Sequence[str] | None) -> str:
    return shlex.join(["preflight", *(sys.argv[1:] if argv is None else argv)])


def _as_error(
    exc: BaseException, record: RunRecord, argv: Sequence[str] | None
) -> PreflightError:
    """Any exception as one that can be told in a sentence."""
    during = f" during {record.stage}" if record.stage else ""
    if isinstance(exc, KeyboardInterrupt):
        again = f"the same command goes on: {_again(argv)}"
        if isinstance(exc, _Termination):
            return Terminated(f"terminated{during}", hint=again)
        return Interrupted(f"interrupted{during}", hint=again)
    if isinstance(exc, PreflightError):
        return exc
    if isinstance(exc, MemoryError):
        return PreflightError(f"out of memory{during}")
    if isinstance(exc, OSError) and exc.filename is not None:
        where = str(exc.filename)
        return UsageError(f"{where}: {exc.strerror or type(exc).__name__}")
    told = f"{type(exc).__name__}: {exc}"
    return PreflightError(
        f"a fault in preflight itself{during}: {told}",
        hint="run it again with -vv for the details, and report them",
    )


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, sent by schedulers before they preempt, ends a run like Ctrl-C."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise _Termination

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not in the main thread: a program that calls main()
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(args: Namespace, argv: Sequence[str] | None) -> int:
    record = RunRecord(args.command, directory=str(getattr(args, "model_dir", "")))
    screen = Terminal(args.quiet)
    try:
        with _terminable():
            find_command(args.command)(args, record, screen)
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as exc:  # noqa: BLE001 - told in a sentence
        error = _as_error(exc, record, argv)
        record.exit_code = error.exit_code
        record.error = ErrorRecord(error.message, error.hint, error.request_id)
        if args.verbose > 1:
            _trace(screen)
    if args.command in _REPORTING:
        _keep(record, screen)
        try:
            _report(args, record, screen)
        except UsageError as exc:  # it must not hide how the run itself ended
            _complain(exc, screen)
            record.exit_code = record.exit_code or exc.exit_code
    if record.error is not None:
        _complain(error, screen)
    return record.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's) and return its exit code."""
    args = parse(argv)
    level = logging.DEBUG if args.verbose > 1 else logging.WARNING
    logging.basicConfig(level=logging.WARNING, handlers=[_Escaping(sys.stderr)])
    logging.getLogger("preflight").setLevel(level)
    try:
        return _run(args, argv)
    except PreflightError as exc:
        _complain(exc, Terminal())
        return exc.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): nothing more can be told, to anyone.
        discard(sys.stdout)
        discard(sys.stderr)
        return 141
    except KeyboardInterrupt:
        return Interrupted.exit_code


def entry() -> NoReturn:
    """The console script."""
    if not sys.warnoptions:  # oss2's sources warn on newer Pythons; no user can mend it
        warnings.simplefilter("ignore")
    prepare_streams()
    sys.exit(main())
