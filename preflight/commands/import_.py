"""`import`: a job for what already lies in a bucket."""

from __future__ import annotations

import argparse

from preflight.commands._flags import (
    add_import,
    add_report,
    add_severities,
    add_weight_type,
    group,
)
from preflight.commands._recorder import Recorder, reported
from preflight.commands._settings import require_settings
from preflight.destination import parse_destination
from preflight.findings import WeightType
from preflight.language import say
from preflight.pipeline.import_prefix import import_prefix
from preflight.pipeline.options import ImportOptions, Waiting
from preflight.record import RunRecord
from preflight.rules import RULES
from preflight.rules.policy import make_policy
from preflight.settings import Need
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The prefix, what it is, and the import."""
    parser.add_argument(
        "destination", metavar="oss://bucket/prefix/", help=say("where the files lie")
    )
    parser.add_argument(
        "--base-model",
        metavar="ID",
        help=say(
            "base model trained on, as `preflight bases` lists it (default: what the "
            "files name)"
        ),
    )
    add_weight_type(parser)
    add_import(parser)
    _add_check(parser)
    add_report(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    rules = group(parser, "rules")
    rules.add_argument(
        "--no-check",
        action="store_true",
        help=say("submit it unseen; the rules are not asked"),
    )
    rules.add_argument(
        "--scan",
        action="store_true",
        help=say("look for NaN, Inf and zeros, too; reads all of it"),
    )
    add_severities(parser)
    rules.add_argument(
        "--base-config",
        action="store_true",
        help=say("add the base's config.json beside an adapter that has none"),
    )


def _waiting(arguments: argparse.Namespace) -> Waiting:
    return Waiting(arguments.timeout, arguments.poll_interval)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Submit, wait, and report."""

    def work(recorder: Recorder) -> int:
        destination = parse_destination(arguments.destination)
        recorder.record.directory = destination.url
        settings = require_settings(arguments, terminal, Need.OSS, Need.STUDIO)
        recorder.record.service = settings.base_url.value
        options = ImportOptions(
            destination,
            arguments.base_model,
            WeightType(arguments.weight_type) if arguments.weight_type else None,
            display_name=arguments.display_name,
            waiting=None if arguments.no_wait else _waiting(arguments),
            again=arguments.again,
            check=not arguments.no_check,
            scan=arguments.scan,
            base_config=arguments.base_config,
            policy=make_policy(RULES, ignore=arguments.ignore, strict=arguments.strict),
        )
        import_prefix(options, settings, recorder)
        return 0

    record = RunRecord("import", arguments.destination)
    return reported(arguments, terminal, record, work)
