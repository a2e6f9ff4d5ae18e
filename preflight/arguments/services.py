"""The flags of the commands that ask the services."""

from __future__ import annotations

import argparse
from pathlib import Path

from preflight.arguments.shared import add_format, add_report, add_waiting, count
from preflight.findings import WeightType


def add_wait(parser: argparse.ArgumentParser) -> None:
    """`wait`: an earlier job."""
    parser.add_argument("job_id", metavar="JOB_ID", help="the import job's id")
    add_waiting(parser)
    add_report(parser)


def add_import(parser: argparse.ArgumentParser) -> None:
    """`import`: what lies in a bucket."""
    parser.add_argument(
        "destination", metavar="oss://bucket/prefix/", help="where the files lie"
    )
    parser.add_argument(
        "--base-model",
        metavar="ID",
        required=True,
        help="base model trained on, as `preflight bases` lists it",
    )
    parser.add_argument(
        "--weight-type",
        choices=[kind.value for kind in WeightType],
        help="kind of weights (default: told by the files)",
    )
    parser.add_argument(
        "--display-name", default="", metavar="NAME", help="name in the console"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="submit the import and do not wait"
    )
    parser.add_argument(
        "--again", action="store_true", help="import anew although it was done before"
    )
    add_waiting(parser)
    add_report(parser)


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """`jobs`: list or show."""
    parser.add_argument(
        "job_id", metavar="JOB_ID", nargs="?", help="show this job (default: all)"
    )
    parser.add_argument(
        "--status",
        type=str.lower,
        choices=("pending", "running", "succeeded", "successed", "failed"),
        help="only jobs in this state",
    )
    parser.add_argument(
        "--model-name",
        metavar="NAME",
        help="only the job of this model, by the name that the platform gave it",
    )
    parser.add_argument(
        "--limit", type=count, metavar="N", help="the newest N jobs (default: all)"
    )
    add_format(parser)


def add_delete(parser: argparse.ArgumentParser) -> None:
    """`delete`: a job's record."""
    parser.add_argument("job_id", metavar="JOB_ID", help="the import job's id")
    parser.add_argument(
        "--yes", action="store_true", help="delete; without it, only say what would be"
    )


def add_status(parser: argparse.ArgumentParser) -> None:
    """`status`: the last runs."""
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        type=Path,
        help="a model directory (default: runs of all directories)",
    )
    add_format(parser)


def add_clean(parser: argparse.ArgumentParser) -> None:
    """`clean`: unfinished uploads."""
    parser.add_argument(
        "destination", metavar="oss://bucket/prefix/", help="where to look"
    )
    parser.add_argument(
        "--yes", action="store_true", help="abort them; without it, only list them"
    )
    add_format(parser)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """`doctor`: the set-up."""
    parser.add_argument(
        "destination",
        metavar="oss://bucket/prefix/",
        nargs="?",
        help="also check this bucket, and that the prefix may be written to",
    )
    parser.add_argument(
        "--fix", action="store_true", help="set the bucket's tag if it lacks it"
    )
    add_format(parser)
