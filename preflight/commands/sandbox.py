"""`sandbox`: the fake services for a shell, a Makefile or another program."""

from __future__ import annotations

import json
import os
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from preflight.arguments import Namespace
from preflight.errors import UsageError
from preflight.record import RunRecord
from preflight.terminal import Terminal

if TYPE_CHECKING:
    from preflight.sandbox.background import Ready
    from preflight.sandbox.faults import FaultPlan


def _fault_plan(path: Path | None) -> FaultPlan | None:
    if path is None:
        return None
    from preflight.sandbox.faults import FaultPlan

    shown = str(path)
    try:
        return FaultPlan.from_json(json.loads(path.read_text("utf-8")))
    except OSError as exc:
        raise UsageError(f"cannot read {shown}: {exc.strerror}") from exc
    except (ValueError, TypeError) as exc:
        raise UsageError(f"not a fault plan: {shown}: {exc}") from exc


def _check_bucket(name: str) -> None:
    from preflight.sandbox.oss.checks import check_bucket_name
    from preflight.sandbox.oss.errors import OssError

    try:
        check_bucket_name(name)
    except OssError as exc:
        raise UsageError(
            f"not a bucket name: {name}",
            hint="3 to 63 of a-z, 0-9 and -, with no hyphen at either end",
        ) from exc


def _exports(values: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(text)}" for name, text in values.items()]


def _serve(args: Namespace, screen: Terminal, ready: Ready | None) -> None:
    """Serve until Ctrl-C or SIGTERM, which is the ordinary end."""
    from preflight.sandbox import Sandbox

    ports = (args.port, args.port + 1) if args.port else (0, 0)
    box = Sandbox(
        directory=args.state,
        digests=args.digests,
        oss_port=ports[0],
        studio_port=ports[1],
        faults=_fault_plan(args.faults),
        seed_bucket=args.seed_bucket,
        job_seconds=args.job_seconds,
    )
    try:
        with box:
            values = box.environment()
            if ready is not None:
                pid = {"PREFLIGHT_SANDBOX_PID": str(os.getpid())}
                ready.tell("\n".join(_exports(values | pid)))
            else:
                screen.say(f"sandbox: bucket {args.seed_bucket}; Ctrl-C ends it")
                screen.show_lines(_exports(values))
            while True:
                signal.pause()
    except OSError as exc:
        raise UsageError(f"cannot listen on port {args.port}: {exc.strerror}") from exc
    except KeyboardInterrupt:  # which SIGTERM raises, too
        screen.say("sandbox: stopped")


def cmd_sandbox(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Serve until it is told to end; with `--background` leave a process that does."""
    from preflight.sandbox.background import Child, fork

    _check_bucket(args.seed_bucket)
    ready = fork() if args.background else None
    if isinstance(ready, Child):
        screen.show_lines(ready.told.splitlines())
        record.exit_code = ready.exit_code
        return
    _serve(args, screen, ready)
