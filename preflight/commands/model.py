"""`check` and `push`: a model directory on its way."""

from __future__ import annotations

import os
from dataclasses import replace

from preflight.arguments import Namespace
from preflight.commands.given import read_settings
from preflight.destination import parse_destination, placeholders
from preflight.errors import UsageError
from preflight.findings import Verdict, WeightType
from preflight.model.inspection import Request
from preflight.pipeline import CheckOptions, PushOptions, bucket_access, check, push
from preflight.progress import ProgressMode
from preflight.record import RunRecord, state_directory
from preflight.rules import RULES
from preflight.rules.policy import make_policy
from preflight.settings import Need, Settings
from preflight.terminal import Terminal
from preflight.upload.parts import TransferOptions


def _check_options(args: Namespace) -> CheckOptions:
    weight_type = WeightType(args.weight_type) if args.weight_type else None
    request = Request(
        weight_type,
        args.base_model,
        args.base_dir,
        base_from_hub=args.base_from_hub,
    )
    policy = make_policy(
        RULES,
        select=getattr(args, "select", ()),  # a push must not choose its rules
        ignore=args.ignore,
        strict=args.strict,
    )
    return CheckOptions(args.model_dir, request, not args.no_scan, policy)


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


def _transfer_options(args: Namespace) -> TransferOptions:
    return TransferOptions(
        workers=args.workers,
        part_size=args.part_size,
        bandwidth=args.bandwidth_limit,
        restart=args.restart,
        allow_extra=args.allow_extra,
    )


def _push_to_sandbox(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    from preflight.sandbox import Sandbox

    url = args.destination or "oss://preflight-sandbox/models/{name}/"
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
    placeholders(url)  # an unknown one is told before the directory is read
    if destination.slash_added:
        screen.say(f"added the closing slash: {destination.url}")
    screen = replace(screen, mode=ProgressMode(args.progress))
    needs = () if args.dry_run else (Need.OSS, Need.STUDIO)

    def read() -> Settings:
        return read_settings(args, screen, needs=needs, environ=environ)

    settings = read()
    options = PushOptions(
        _check_options(args),
        destination,
        display_name=args.display_name,
        wait=not args.no_wait,
        timeout=args.timeout,
        poll_interval=args.poll_interval,
        dry_run=args.dry_run,
        again=args.again,
        replace=args.replace,
        tag_bucket=args.tag_bucket,
        base_config=not args.no_base_config,
        transfer=_transfer_options(args),
        state=state_directory(os.environ),
        credentials=lambda: bucket_access(read()).keys,
    )
    record.service = settings.base_url.value
    push(options, settings, record, screen)
