"""`push`: the whole way, against the cloud or against the sandbox."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from preflight.api import push, settings_reader
from preflight.commands._flags import (
    add_import,
    add_losses,
    add_model,
    add_report,
    check_flags,
    group,
    losses_of,
)
from preflight.commands._manifests import keep_manifest
from preflight.commands._places import places_and_destination
from preflight.commands._recorder import Recorder, reported
from preflight.commands._settings import read_settings
from preflight.commands._values import count, seconds, size
from preflight.destination import PLACEHOLDERS, DestinationTemplate
from preflight.errors import PreflightError, UsageError
from preflight.language import glued, joined, say
from preflight.pipeline.places import ModelPlace
from preflight.record import RunRecord
from preflight.settings import Need
from preflight.tasks import parse_task, task_of
from preflight.terminal import Terminal
from preflight.upload.concurrency import MAX_WORKERS
from preflight.upload.parts import TransferOptions

_SANDBOX_URL = "oss://preflight-sandbox/models/{name}/"
_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The directory, the destination, the transfer, the import and the report."""
    add_model(
        parser,
        places=say("directory of the weights; of several all are pushed in one run"),
    )
    parser.set_defaults(more=())  # words that follow flags
    pairs = (glued(f"{{{name}}}: ", text) for name, text in PLACEHOLDERS.items())
    parser.add_argument(
        "destination",
        metavar="oss://bucket/prefix/",
        nargs="?",
        help=say(
            "where to upload to; may be left out with --sandbox. It may hold {known}",
            known=joined("; ", pairs),
        ),
    )
    _add_transfer(parser)
    group(parser, "model").add_argument(
        "--no-base-config",
        action="store_true",
        help=say("do not add the base's config.json beside an adapter"),
    )
    add_import(parser)
    _add_ending(parser)
    _add_share(parser)
    parser.add_argument(
        "-n",
        "--dry-run",
        action="store_true",
        help=say("check and plan, touch no network"),
    )
    parser.add_argument(
        "--all-or-nothing",
        action="store_true",
        help=say("of several directories send none unless all pass"),
    )
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help=say("use a fake OSS and Model Studio on this machine; needs no account"),
    )
    parser.add_argument(
        "--fix",
        action="store_true",
        help=say(
            "repair on the way what can be repaired without loss, or as the flags of "
            "`preflight fix` allow; the directory stays as it is"
        ),
    )
    add_losses(parser)
    add_report(parser)


def _add_ending(parser: argparse.ArgumentParser) -> None:
    """How far the push goes, and what it may change and keep."""
    parser.add_argument(
        "--sha256",
        action="store_true",
        help=say("SHA-256 in the run's manifest, too; all is read once more"),
    )
    group(parser, "import").add_argument(
        "--no-import",
        action="store_true",
        help=say("upload and verify; `preflight import` goes on from there"),
    )
    group(parser, "import").add_argument(
        "--replace",
        action="store_true",
        help=say(
            "change files under a prefix that a model was imported from; "
            "that model becomes invalid"
        ),
    )
    group(parser, "import").add_argument(
        "--tag-bucket",
        action="store_true",
        help=say("set the bucket's tag that an import needs; its other tags stay"),
    )


def _add_share(parser: argparse.ArgumentParser) -> None:
    """Several tasks, one model."""
    shared = group(parser, "transfer")
    shared.add_argument(
        "--share",
        action="store_true",
        help=say(
            "this is one of several tasks on one shared directory, which srun, "
            "torchrun or mpirun started: each brings its share, task 0 publishes"
        ),
    )
    shared.add_argument(
        "--task",
        metavar="K/N",
        default="",
        help=say("the same, numbered by hand: task K, from 0, of N"),
    )


def _share(arguments: argparse.Namespace, recorder: Recorder) -> bool | str:
    """Which task this is, as the API takes it; the record and a person are told."""
    if not (arguments.share or arguments.task):
        return False
    task = parse_task(arguments.task) if arguments.task else task_of(os.environ)
    if task.is_alone:
        recorder.say(say("one task alone: an ordinary push"))
        return False
    if arguments.sandbox:
        raise UsageError(
            say("tasks cannot share a sandbox that ends with its push"),
            hint=say("start one for all of them: preflight sandbox"),
        )
    recorder.record.task = task
    return task.told


def _workers(text: str) -> int:
    """For argparse."""
    if count(text) > MAX_WORKERS:
        raise argparse.ArgumentTypeError(
            say(
                "not a number from 1 to {max_workers}: {text}",
                max_workers=MAX_WORKERS,
                text=text,
            )
        )
    return int(text)


def _add_transfer(parser: argparse.ArgumentParser) -> None:
    transfer = group(parser, "transfer")
    transfer.add_argument(
        "--workers",
        type=_workers,
        default=0,
        metavar="N",
        help=say(
            "connections that send at the same time (default: as many as make it "
            "faster, up to 64)"
        ),
    )
    transfer.add_argument(
        "--part-size",
        type=size,
        default=0,
        metavar="SIZE",
        help=say(
            "bytes a part, such as 16M (default: by the files' sizes and the link)"
        ),
    )
    transfer.add_argument(
        "--bandwidth-limit",
        type=size,
        default=0,
        metavar="SIZE",
        help=say(
            "bytes a second over all connections, such as 20M (default: no limit)"
        ),
    )
    transfer.add_argument(
        "--patience",
        type=seconds,
        default=600.0,
        metavar="S",
        help=say(
            "seconds without any success after which an outage ends the "
            "push (default: 600)"
        ),
    )
    transfer.add_argument(
        "--restart",
        action="store_true",
        help=say("abort what earlier runs left unfinished instead of going on with it"),
    )
    transfer.add_argument(
        "--allow-extra",
        action="store_true",
        help=say("accept other objects below the prefix"),
    )


def _keep_one_heap() -> None:
    """Let threads share the C library's heap: one each keeps what it once needed.

    With eight workers that is 5 to 15 MB. The interpreter's lock lets them allocate
    one after another anyway. A program that calls the API decides for itself.
    """
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Push, and report; several directories as a table."""
    _keep_one_heap()
    places, arguments.destination = places_and_destination(arguments)
    if len(places) > 1:
        return _run_many(arguments, terminal, places)
    (arguments.model_dir,) = places
    record = RunRecord(
        "push",
        str(arguments.model_dir),
        dry_run=arguments.dry_run,
        sandbox=arguments.sandbox,
    )

    def work(recorder: Recorder) -> int:
        with _surroundings(arguments, recorder) as (template, environ):
            _push(arguments, terminal, recorder, template, environ)
        return 0

    return reported(arguments, terminal, record, work)


def _run_many(
    arguments: argparse.Namespace, terminal: Terminal, places: Sequence[ModelPlace]
) -> int:
    from preflight.commands._sweep import not_begun, push_many  # only of several

    try:
        if arguments.share or arguments.task:
            raise UsageError(
                say("tasks share one model, and several were given"),
                hint=say("on Slurm an array pushes several: docs/examples/slurm"),
            )
        with _surroundings(arguments, terminal) as (template, environ):
            _tell_added_slash(template, terminal)
            transfer = _transfer(arguments)
            return push_many(arguments, terminal, places, template, environ, transfer)
    except PreflightError as error:
        return not_begun(arguments, terminal, places, error)


@contextmanager
def _surroundings(
    arguments: argparse.Namespace, told: Recorder | Terminal
) -> Iterator[tuple[DestinationTemplate, Mapping[str, str]]]:
    """Where to, and the environment: that of the process, or of a sandbox."""
    if not arguments.sandbox:
        if arguments.destination is None:
            raise UsageError(
                say("no destination was given"),
                hint=say(
                    "preflight push MODEL_DIR oss://bucket/prefix/, or add --sandbox"
                ),
            )
        yield DestinationTemplate.parse(arguments.destination), dict(os.environ)
        return
    from preflight.sandbox import Sandbox

    template = DestinationTemplate.parse(arguments.destination or _SANDBOX_URL)
    with Sandbox(seed_bucket=template.bucket) as box:
        told.say(
            say(
                "sandbox: OSS at {oss_url}, Model Studio at {studio_url}",
                oss_url=box.oss_url,
                studio_url=box.studio_url,
            )
        )
        yield template, box.environment()


def _tell_added_slash(template: DestinationTemplate, told: Recorder | Terminal) -> None:
    if template.slash_added:
        told.say(say("added the closing slash: {url}/", url=template.url))


def _push(
    arguments: argparse.Namespace,
    terminal: Terminal,
    recorder: Recorder,
    template: DestinationTemplate,
    environ: Mapping[str, str],
) -> None:
    _tell_added_slash(template, recorder)
    needs = () if arguments.dry_run else tuple(Need)

    settings = read_settings(arguments, terminal, *needs, environ=environ)
    recorder.record.service = settings.base_url.value
    recorder.record.transfer = _transfer(arguments)
    try:
        _pushed(arguments, recorder, template, needs, environ)
    finally:
        keep_manifest(recorder, sha256=arguments.sha256)


def _pushed(
    arguments: argparse.Namespace,
    recorder: Recorder,
    template: DestinationTemplate,
    needs: tuple[Need, ...],
    environ: Mapping[str, str],
) -> None:
    push(
        arguments.model_dir,
        template.url,
        display_name=arguments.display_name,
        wait=not arguments.no_wait,
        timeout=arguments.timeout,
        poll_interval=arguments.poll_interval,
        dry_run=arguments.dry_run,
        again=arguments.again,
        replace=arguments.replace,
        tag_bucket=arguments.tag_bucket,
        base_config=not arguments.no_base_config,
        transfer=_transfer(arguments),
        imports=not arguments.no_import,
        fix=losses_of(arguments) if arguments.fix else False,
        share=_share(arguments, recorder),
        settings=settings_reader(needs, environ),
        observer=recorder,
        **check_flags(arguments),
    )


def _transfer(arguments: argparse.Namespace) -> TransferOptions:
    return TransferOptions(
        workers=arguments.workers,
        part_size=arguments.part_size,
        bandwidth=arguments.bandwidth_limit,
        restart=arguments.restart,
        allow_extra=arguments.allow_extra,
        patience=arguments.patience,
    )
