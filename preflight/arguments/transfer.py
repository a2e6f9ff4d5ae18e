"""The flags that say how a transfer is done."""

from __future__ import annotations

import argparse
import re

from preflight.upload.parts import MAX_WORKERS

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def _size(text: str) -> int:
    """Bytes, with a suffix of powers of 1,024: 800K, 16M, 1.5GiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:I?B)?", text.strip().upper())
    if not found or float(found[1]) * _UNITS[found[2]] < 1:
        raise argparse.ArgumentTypeError(f"not a number of bytes: {text}")
    return int(float(found[1]) * _UNITS[found[2]])


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(
            f"not a number from 1 to {MAX_WORKERS}: {text}"
        )
    return int(text)


def add_transfer_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a command that sends files."""
    group = parser.add_argument_group("transfer")
    group.add_argument(
        "--workers",
        type=_workers,
        default=0,
        metavar="N",
        help="connections that send at the same time (default: 4, with many cores 8)",
    )
    group.add_argument(
        "--part-size",
        type=_size,
        default=0,
        metavar="SIZE",
        help="bytes a part, such as 16M (default: by the files' sizes)",
    )
    group.add_argument(
        "--bandwidth-limit",
        type=_size,
        default=0,
        metavar="SIZE",
        help="bytes a second over all connections, such as 20M (default: no limit)",
    )
    group.add_argument(
        "--restart",
        action="store_true",
        help="abort what earlier runs left unfinished instead of going on with it",
    )
    group.add_argument(
        "--allow-extra",
        action="store_true",
        help="accept other objects below the prefix",
    )
    group.add_argument(
        "--progress",
        choices=("auto", "bar", "lines", "json", "off"),
        default="auto",
        help="how progress is told on standard error (default: a bar on a terminal, "
        "a line every 30 s elsewhere)",
    )
