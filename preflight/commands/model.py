"""`check` and `push`: a model directory on its way."""

from __future__ import annotations

import os
import re
from pathlib import Path

from preflight.arguments import Namespace
from preflight.destination import parse_destination
from preflight.errors import UsageError
from preflight.findings import Verdict, WeightType
from preflight.model.inspection import Request
from preflight.pipeline import CheckOptions, PushOptions, check, push
from preflight.record import RunRecord
from preflight.settings import load_settings
from preflight.terminal import Terminal


def _check_options(args: Namespace) -> CheckOptions:
    weight_type = WeightType(args.weight_type) if args.weight_type else None
    request = Request(weight_type, args.base_model, args.base_dir)
    return CheckOptions(args.model_dir, request, scan=not args.no_scan)


def cmd_check(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Judge a directory; a failed rule is exit code 1."""
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
