"""How fast `check --scan` reads a model that lies in a bucket.

    python -m tests.benchmarks.bench_remote [--gib 1] [--rounds 3]

The sandbox in this process serves it over http; the whole process of the check is
measured, rules included. Beside it: oss2's `get_object_to_file` of the same objects
into /dev/null, with its defaults and without its CRC.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import oss2

from preflight.sandbox import Sandbox
from tests.benchmarks.bench_upload import GIB
from tests.benchmarks.figures import said
from tests.benchmarks.measure import Usage, measured_whole
from tests.benchmarks.model_dir import make_model
from tests.running import environment

DOWNLOAD = """
import os, sys, oss2
oss2.defaults.multiget_threshold = 1 << 60
auth = oss2.AuthV4(os.environ["OSS_ACCESS_KEY_ID"], os.environ["OSS_ACCESS_KEY_SECRET"])
bucket = oss2.Bucket(
    auth, os.environ["OSS_ENDPOINT"], sys.argv[1],
    region=os.environ["OSS_REGION"], enable_crc=sys.argv[2] == "crc",
)
for found in bucket.list_objects_v2(prefix="m/").object_list:
    bucket.get_object_to_file(found.key, "/dev/null")
"""


@dataclass(frozen=True, slots=True)
class _Row:
    title: str
    command: Sequence[str]
    usages: list[Usage] = field(default_factory=list)


def _rows(bucket: str) -> Sequence[_Row]:
    ours = [sys.executable, "-m", "preflight", "check", f"oss://{bucket}/m/"]
    theirs = [sys.executable, "-c", DOWNLOAD, bucket]
    return (
        # It is not a model that imports: only its values are looked at.
        _Row("preflight check --scan", [*ours, "--scan", "--quiet", "--select", "S11"]),
        _Row("oss2.get_object_to_file (its defaults)", [*theirs, "crc"]),
        _Row("oss2.get_object_to_file, no CRC", [*theirs, "none"]),
    )


def _fill(box: Sandbox, root: Path) -> None:
    auth = oss2.AuthV4(box.access_key_id, box.access_key_secret)
    region = box.region
    bucket = oss2.Bucket(auth, box.oss_url, box.bucket, region=region, enable_crc=False)
    for path in root.iterdir():
        bucket.put_object_from_file(f"m/{path.name}", str(path))


def _figures(rows: Sequence[_Row], gigabytes: float) -> list[dict[str, Any]]:
    default = rows[1]
    return [
        {
            "title": row.title,
            "times_oss2": round(
                median(
                    theirs.seconds / ours.seconds
                    for ours, theirs in zip(row.usages, default.usages, strict=True)
                ),
                3,
            ),
            "cpu": round(median(one.cpu for one in row.usages) / gigabytes, 3),
            "speed": round(gigabytes / median(one.seconds for one in row.usages), 3),
        }
        for row in rows
    ]


def _take_turns(
    rows: Sequence[_Row], variables: Mapping[str, str], rounds: int
) -> None:
    for _ in range(rounds):
        for row in rows:
            row.usages.append(measured_whole(row.command, variables))


def measured_remote(
    gib: float, rounds: int, directory: Path | None
) -> dict[str, object]:
    """Measure them in turns, print a line each and return them for JSON."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        scratch = Path(folder)
        model = scratch / "model"
        model.mkdir()
        size = sum(made.size for made in make_model(model, int(gib * GIB)).values())
        with Sandbox(directory=scratch / "box") as box:
            _fill(box, model)
            rows = _rows(box.bucket)
            said(f"values of a bucket, {size / 1e9:.2f} GB, {rounds} rounds")
            home = environment(scratch / "home", box.environment())
            _take_turns(rows, home, rounds)
    found = _figures(rows, size / 1e9)
    for one in found:
        said(
            "{title:45s}{times_oss2:6.2f} x oss2{cpu:7.2f} CPU s/GB"
            "{speed:8.3f} GB/s".format(**one)
        )
    return {"bytes": size, "rounds": rounds, "rows": found}


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    measured_remote(args.gib, args.rounds, args.directory)


if __name__ == "__main__":
    main()
