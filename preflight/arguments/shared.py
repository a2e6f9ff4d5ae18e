"""Flags that several commands have."""

from __future__ import annotations

import argparse
from pathlib import Path

from preflight.findings import WeightType


def seconds(text: str) -> float:
    """A number of seconds, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text}")
    return value


def count(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"not a number of jobs: {text}")
    return int(text)


def port(text: str) -> int:
    """A port number, for argparse."""
    if not text.isdecimal() or not 0 < int(text) < 65535:
        raise argparse.ArgumentTypeError(f"not a port: {text}")
    return int(text)


def add_model(parser: argparse.ArgumentParser) -> None:
    """The directory, and how to judge it."""
    parser.add_argument(
        "model_dir", metavar="MODEL_DIR", type=Path, help="directory of the weights"
    )
    parser.add_argument(
        "--base-model",
        metavar="ID",
        help="base model trained on, as `preflight bases` lists it, or its hub id "
        "(default: what the directory itself names)",
    )
    parser.add_argument(
        "--weight-type",
        choices=[kind.value for kind in WeightType],
        help="kind of weights (default: told by the files)",
    )
    parser.add_argument(
        "--base-dir",
        metavar="DIR",
        type=Path,
        help="a copy of the base to compare with",
    )
    parser.add_argument(
        "--base-from-hub",
        action="store_true",
        help="without a local copy of the base, fetch its headers and small files",
    )
    parser.add_argument(
        "--no-scan", action="store_true", help="do not look for NaN, Inf and zeros"
    )
    parser.add_argument(
        "--strict", action="store_true", help="let warnings count as errors"
    )
    parser.add_argument(
        "--ignore",
        metavar="CODE=REASON",
        action="append",
        default=[],
        help="let this rule's failure pass; the reason stands in the report",
    )


def add_report(parser: argparse.ArgumentParser) -> None:
    """Form and place of the report."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the report"
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="write the report there, not here"
    )


def add_waiting(parser: argparse.ArgumentParser) -> None:
    """How long to wait for a job."""
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=7200.0,
        metavar="S",
        help="seconds to wait for the job (default: 7200)",
    )
    parser.add_argument(
        "--poll-interval",
        type=seconds,
        metavar="S",
        help="seconds between two looks (default: 3, growing to 30)",
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Form of a result."""
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the result"
    )
