"""`sandbox`: the fake services for a shell, a Makefile or another program."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from preflight.commands._values import seconds
from preflight.errors import UsageError
from preflight.language import say
from preflight.system_errors import reason_of
from preflight.terminal import Terminal

if TYPE_CHECKING:
    from preflight.sandbox import Sandbox
    from preflight.sandbox.background import Ready
    from preflight.sandbox.faults import FaultPlan
    from preflight.sandbox.request_log import RequestRecord


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Tell in a sentence what is wrong with a file that the block reads."""
    try:
        yield
    except OSError as exc:
        raise UsageError(
            say("cannot read {path}: {strerror}", path=path, strerror=reason_of(exc))
        ) from exc
    except (ValueError, TypeError) as exc:
        raise UsageError(
            say("not a {what}: {path}: {exc}", what=what, path=path, exc=exc)
        ) from exc


def _fault_plan(path: Path | None) -> FaultPlan | None:
    if path is None:
        return None
    from preflight.sandbox.faults import FaultPlan

    with _reading(path, say("fault plan")):
        return FaultPlan.from_json(json.loads(path.read_text("utf-8")))


def _restrict(box: Sandbox, path: Path | None) -> None:
    if path is None:
        return
    with _reading(path, "policy"):
        box.restrict(json.loads(path.read_text("utf-8")))


def _tell_of_calls(box: Sandbox, terminal: Terminal) -> None:
    """A line on standard error for each request; status 0 is a connection cut."""
    for endpoint in (box.oss_endpoint, box.studio_endpoint):

        def tell(record: RequestRecord, service: str = endpoint.service) -> None:
            what = record.operation or "unknown"
            terminal.say(
                say(
                    "{service}: {method} {what} {key} {status} {bytes_received} bytes",
                    service=service,
                    method=record.method,
                    what=what,
                    key=record.key,
                    status=record.status,
                    bytes_received=record.bytes_received,
                )
            )

        endpoint.log_calls.on_call = tell


def _check_bucket(name: str) -> None:
    from preflight.sandbox.oss.checks import check_bucket_name
    from preflight.sandbox.oss.errors import OssError

    try:
        check_bucket_name(name)
    except OssError as exc:
        raise UsageError(
            say("not a bucket name: {name}", name=name),
            hint=say("3 to 63 of a-z, 0-9 and -, with no hyphen at either end"),
        ) from exc


def _exports(values: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(text)}" for name, text in values.items()]


def _serve(
    arguments: argparse.Namespace, terminal: Terminal, ready: Ready | None
) -> None:
    """Serve until Ctrl-C or SIGTERM, which is the ordinary end."""
    from preflight.sandbox import Sandbox

    ports = (arguments.port, arguments.port + 1) if arguments.port else (0, 0)
    box = Sandbox(
        directory=arguments.state,
        digests=arguments.digests,
        oss_port=ports[0],
        studio_port=ports[1],
        faults=_fault_plan(arguments.faults),
        seed_bucket=arguments.seed_bucket,
        job_seconds=arguments.job_seconds,
        tls=arguments.tls,
    )
    box.oss.strict_v4 = arguments.strict_v4
    _restrict(box, arguments.policy)
    if arguments.verbose:
        _tell_of_calls(box, terminal)
    try:
        with box:
            values = box.environment()
            if ready is not None:
                pid = {"PREFLIGHT_SANDBOX_PID": str(os.getpid())}
                ready.tell("\n".join(_exports(values | pid)))
            else:
                bucket = arguments.seed_bucket
                scheme, _, address = box.oss_url.partition("://")
                by_name = f"{scheme}://{bucket}.localhost:{address.partition(':')[2]}"
                terminal.say(
                    say("sandbox: bucket {bucket}; Ctrl-C ends it", bucket=bucket)
                )
                terminal.say(
                    say("sandbox: the bucket by name: {by_name}", by_name=by_name)
                )
                terminal.show_lines(_exports(values))
            while True:
                signal.pause()
    except OSError as exc:
        raise UsageError(
            say(
                "cannot listen on port {port}: {strerror}",
                port=arguments.port,
                strerror=reason_of(exc),
            )
        ) from exc
    except KeyboardInterrupt:  # which SIGTERM raises, too
        terminal.say(say("sandbox: stopped"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Ports, state and what goes wrong."""
    parser.add_argument(
        "--background",
        action="store_true",
        help=say("leave it running, and end as soon as both services answer"),
    )
    parser.add_argument(
        "--port",
        type=_port,
        help=say("port of OSS; Model Studio gets the next one (default: free ones)"),
    )
    parser.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        help=say("keep buckets, keys and jobs there"),
    )
    parser.add_argument(
        "--seed-bucket",
        metavar="NAME",
        default="preflight-sandbox",
        help=say("name of the bucket that exists from the start"),
    )
    parser.add_argument(
        "--faults",
        metavar="FILE",
        type=Path,
        help=say("a JSON plan of what goes wrong"),
    )
    parser.add_argument(
        "--strict-v4",
        action="store_true",
        help=say("refuse signature V1, as OSS does for new accounts"),
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help=say("speak https; REQUESTS_CA_BUNDLE tells the authority to trust"),
    )
    parser.add_argument(
        "--policy",
        metavar="FILE",
        type=Path,
        help=say("a RAM policy for the key, or with Principal one of the bucket"),
    )
    parser.add_argument(
        "--digests",
        action="store_true",
        help=say("keep checksums instead of the bytes of large objects"),
    )
    parser.add_argument(
        "--job-seconds",
        type=seconds,
        default=0.0,
        metavar="S",
        help=say("how long an import job takes (default: 0)"),
    )


def _port(text: str) -> int:
    """For argparse; Model Studio needs the one after it, too."""
    if not text.isdecimal() or not 0 < int(text) < 65535:
        raise argparse.ArgumentTypeError(say("not a port: {text}", text=text))
    return int(text)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Serve until it is told to end; with `--background` leave a process that does."""
    from preflight.sandbox.background import Child, fork

    _check_bucket(arguments.seed_bucket)
    ready = fork() if arguments.background else None
    if isinstance(ready, Child):
        terminal.show_lines(ready.told.splitlines())
        return ready.exit_code
    _serve(arguments, terminal, ready)
    return 0
