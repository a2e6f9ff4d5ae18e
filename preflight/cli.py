"""The command line: parse, call one typed function, render, return a code."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from preflight.arguments import Namespace, parse
from preflight.errors import Interrupted, PreflightError, Terminated, UsageError
from preflight.findings import Verdict, WeightType
from preflight.model.text import printable
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

if TYPE_CHECKING:
    from preflight.pipeline import CheckOptions
    from preflight.progress import Progress

Command = Callable[[Namespace, RunRecord, "Terminal"], None]


@dataclass(frozen=True, slots=True)
class Terminal:
    """Standard error as the screen that the pipeline talks to."""

    quiet: bool

    def say(self, text: str) -> None:
        """One line, unless --quiet."""
        if not self.quiet:
            print(printable(text, limit=2000), file=sys.stderr, flush=True)

    def progress(self) -> Progress:
        """A bar on a terminal, a line now and then elsewhere."""
        from preflight.progress import ProgressMode, make_progress

        return make_progress(ProgressMode.OFF if self.quiet else ProgressMode.AUTO)


def _check_options(args: Namespace) -> CheckOptions:
    from preflight.model.inspection import Request
    from preflight.pipeline import CheckOptions

    weight_type = WeightType(args.weight_type) if args.weight_type else None
    request = Request(weight_type, args.base_model, args.base_dir)
    return CheckOptions(args.model_dir, request, scan=not args.no_scan)


def cmd_check(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Judge a directory; a failed rule is exit code 1."""
    from preflight.pipeline import check

    check(_check_options(args), record, screen)
    if record.report.verdict is Verdict.FAIL:
        record.exit_code = 1


def cmd_push(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """The whole pipeline, against the cloud or against the sandbox."""
    record.dry_run, record.sandbox = args.dry_run, args.sandbox
    if args.sandbox:
        _push_to_sandbox(args, record, screen)
    elif args.destination is None:
        raise UsageError(
            "no destination was given",
            hint="preflight push MODEL_DIR oss://bucket/prefix/, or add --sandbox",
        )
    else:
        _push(args, args.destination, dict(os.environ), record, screen)


def _push_to_sandbox(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    from preflight.destination import parse_destination
    from preflight.sandbox import Sandbox

    name = re.sub(r"[^\w.-]+", "-", args.model_dir.resolve().name) or "model"
    url = args.destination or f"oss://preflight-sandbox/models/{name}/"
    with Sandbox(seed_bucket=parse_destination(url).bucket) as box:
        screen.say(f"sandbox: OSS at {box.oss_url}, Model Studio at {box.studio_url}")
        args.poll_interval = 0.2 if args.poll_interval is None else args.poll_interval
        _push(args, url, box.environment(), record, screen)


def _push(
    args: Namespace,
    url: str,
    environ: dict[str, str],
    record: RunRecord,
    screen: Terminal,
) -> None:
    from preflight.destination import parse_destination
    from preflight.pipeline import PushOptions, push
    from preflight.settings import load_settings

    destination = parse_destination(url)
    if destination.slash_added:
        screen.say(f"added the closing slash: {destination.url}")
    options = PushOptions(
        _check_options(args),
        destination,
        display_name=args.display_name,
        wait=not args.no_wait,
        timeout=args.timeout,
        poll_interval=args.poll_interval,
        dry_run=args.dry_run,
    )
    push(options, load_settings(environ, home=Path.home()), record, screen)


def cmd_wait(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Wait for a job that an earlier run submitted."""
    from preflight.pipeline import wait_for_job
    from preflight.settings import load_settings

    settings = load_settings(dict(os.environ), home=Path.home())
    limits = args.timeout, args.poll_interval
    wait_for_job(args.job_id, settings, record, screen, limits=limits)


def cmd_explain(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Print a rule's manual page, or one line for each rule."""
    del record, screen
    from preflight.report.manual import manual_page, rules_table

    _write(manual_page(args.code) if args.code else rules_table())


def cmd_bases(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """List the base models that can be imported onto."""
    del args, record, screen
    from preflight.report.manual import bases_table

    _write(bases_table())


COMMANDS: dict[str, Command] = {
    "check": cmd_check,
    "push": cmd_push,
    "wait": cmd_wait,
    "explain": cmd_explain,
    "bases": cmd_bases,
}
_REPORTING = ("check", "push", "wait")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _wants_color(args: Namespace) -> bool:
    if args.color != "auto":
        return bool(args.color == "always")
    plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain


def _report(args: Namespace, record: RunRecord) -> None:
    """Write the report to where it was asked for, and the run record."""
    to_file = args.output is not None
    if args.format == "json":
        text = render_json(record)
    else:
        style = Style(_wants_color(args) and not to_file, verbose=args.verbose > 0)
        text = render_text(record, style)
    if not to_file:
        _write(text)
        return
    try:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.output, text)
    except OSError as exc:
        shown = printable(str(args.output))
        raise UsageError(f"cannot write {shown}: {exc.strerror}") from exc


def _keep(record: RunRecord, screen: Terminal) -> None:
    """Leave the run record of a push behind; failing to is no failure of the run."""
    if record.command != "push" or record.dry_run:
        return
    try:
        save_record(as_document(record), record, state_directory(os.environ))
    except OSError as exc:
        screen.say(f"the run record could not be kept: {exc.strerror}")


def _complain(error: PreflightError) -> None:
    lines = [f"preflight: {printable(error.message, limit=4000)}"]
    if error.hint:
        lines.append(f"  try  {printable(error.hint, limit=4000)}")
    if error.request_id:
        lines.append(f"  request id  {printable(error.request_id)}")
    print("\n".join(lines), file=sys.stderr, flush=True)


def _again(argv: Sequence[str] | None) -> str:
    return shlex.join(["preflight", *(sys.argv[1:] if argv is None else argv)])


def _as_error(
    exc: BaseException, record: RunRecord, argv: Sequence[str] | None
) -> PreflightError:
    """Any exception as one that can be told in a sentence."""
    during = f" during {record.stage}" if record.stage else ""
    if isinstance(exc, (KeyboardInterrupt, Interrupted)):
        kind, word = (
            (Terminated, "terminated")
            if isinstance(exc, Terminated)
            else (Interrupted, "interrupted")
        )
        return kind(f"{word}{during}", hint=f"the same command goes on: {_again(argv)}")
    if isinstance(exc, PreflightError):
        return exc
    if isinstance(exc, MemoryError):
        return PreflightError(f"out of memory{during}")
    if isinstance(exc, OSError) and exc.filename is not None:
        where = printable(str(exc.filename))
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
        raise Terminated("terminated")

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
            COMMANDS[args.command](args, record, screen)
    except (Exception, KeyboardInterrupt) as exc:
        error = _as_error(exc, record, argv)
        record.exit_code = error.exit_code
        record.error = ErrorRecord(error.message, error.hint, error.request_id)
        if args.verbose > 1:
            traceback.print_exc()
    if args.command in _REPORTING:
        _report(args, record)
        _keep(record, screen)
    if record.error is not None:
        _complain(error)
    return record.exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's) and return its exit code."""
    args = parse(argv)
    level = logging.DEBUG if args.verbose > 1 else logging.WARNING
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
    logging.getLogger("preflight").setLevel(level)
    try:
        return _run(args, argv)
    except PreflightError as exc:
        _complain(exc)
        return exc.exit_code
    except BrokenPipeError:
        # The reader went away (`| head`): nothing more can be told, to anyone.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return Interrupted.exit_code


def entry() -> NoReturn:
    """The console script."""
    sys.exit(main())
