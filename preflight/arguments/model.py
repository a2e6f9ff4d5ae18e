"""The flags of `check` and `push`."""

from __future__ import annotations

import argparse

from preflight.arguments.shared import add_model, add_report, add_waiting
from preflight.arguments.transfer import add_transfer_flags
from preflight.destination import PLACEHOLDERS


def add_check(parser: argparse.ArgumentParser) -> None:
    """`check`: judge a directory."""
    add_model(parser)
    parser.add_argument(
        "--select",
        metavar="CODES",
        action="append",
        default=[],
        help="run only these rules or families, such as C,K02",
    )
    add_report(parser)


def add_push(parser: argparse.ArgumentParser) -> None:
    """`push`: the whole way."""
    add_model(parser)
    known = "; ".join(f"{{{name}}}: {text}" for name, text in PLACEHOLDERS.items())
    parser.add_argument(
        "destination",
        metavar="oss://bucket/prefix/",
        nargs="?",
        help=f"where to upload to; may be left out with --sandbox. It may hold {known}",
    )
    add_transfer_flags(parser)
    parser.add_argument(
        "--no-base-config",
        action="store_true",
        help="do not add the base's config.json beside an adapter",
    )
    parser.add_argument(
        "--display-name", default="", metavar="NAME", help="name in the console"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="submit the import and do not wait"
    )
    add_waiting(parser)
    parser.add_argument(
        "--again", action="store_true", help="import anew although it was done before"
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="change files under a prefix that a model was imported from; that model "
        "becomes invalid",
    )
    parser.add_argument(
        "--tag-bucket",
        action="store_true",
        help="set the bucket's tag that an import needs; its other tags stay",
    )
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="check and plan, touch no network"
    )
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="use a fake OSS and Model Studio on this machine; needs no account",
    )
    add_report(parser)
