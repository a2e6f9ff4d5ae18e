"""The flags of the commands that need no service."""

from __future__ import annotations

import argparse
from pathlib import Path

from preflight.arguments.shared import port, seconds


def add_sandbox(parser: argparse.ArgumentParser) -> None:
    """`sandbox`: the fake services."""
    parser.add_argument(
        "--background",
        action="store_true",
        help="leave it running, and end as soon as both services answer",
    )
    parser.add_argument(
        "--port",
        type=port,
        help="port of OSS; Model Studio gets the next one (default: free ones)",
    )
    parser.add_argument(
        "--state", metavar="DIR", type=Path, help="keep buckets, keys and jobs there"
    )
    parser.add_argument(
        "--seed-bucket",
        metavar="NAME",
        default="preflight-sandbox",
        help="name of the bucket that exists from the start",
    )
    parser.add_argument(
        "--faults", metavar="FILE", type=Path, help="a JSON plan of what goes wrong"
    )
    parser.add_argument(
        "--digests",
        action="store_true",
        help="keep checksums instead of the bytes of large objects",
    )
    parser.add_argument(
        "--job-seconds",
        type=seconds,
        default=0.0,
        metavar="S",
        help="how long an import job takes (default: 0)",
    )


def add_explain(parser: argparse.ArgumentParser) -> None:
    """`explain`: a rule's manual."""
    parser.add_argument("code", metavar="CODE", nargs="?", help="a rule, such as C02")


def add_nothing(_: argparse.ArgumentParser) -> None:
    """A command without arguments of its own."""
    return
