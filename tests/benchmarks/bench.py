"""All that is measured, in one run, ratios first: `make bench`.

    python -m tests.benchmarks.bench [--gib 1] [--rounds 3] [--store FILE]
        [--only NAME ...]

What is compared takes turns, round after round. `--store` keeps the figures as JSON;
the tables of the READMEs are made of the file that is kept beside this one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from tests.benchmarks.bench_answers import counted
from tests.benchmarks.bench_remote import measured_remote
from tests.benchmarks.bench_scan import measured_scan
from tests.benchmarks.bench_share import measured_share
from tests.benchmarks.bench_upload import SHAPES as LINKS
from tests.benchmarks.bench_upload import measured_shape as measured_upload
from tests.benchmarks.bench_whole import measured_push
from tests.benchmarks.bench_workers import SHAPES as WORKERS
from tests.benchmarks.bench_workers import measured_shape as measured_workers
from tests.benchmarks.figures import said
from tests.benchmarks.receiver import terminator
from tests.benchmarks.uploaders import FEW, MANY, V2_PYTHON, v2_is_there

RESULT = Path(__file__).with_name("result.json")
_SMALL = 0.5  # GiB: below it a whole push takes a model of some kB


def _machine() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION.split(" ")[1],
        "terminator": _terminator(),
        "day": datetime.now(timezone.utc).date().isoformat(),
        "few": FEW,
        "many": MANY,
    }


def _terminator() -> str:
    """What speaks TLS, with its version."""
    if terminator() != "nginx":
        return terminator()
    told = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True)
    return told.stderr.strip().rpartition(": ")[2].split(" ")[0].replace("/", " ")


def sections(
    gib: float, rounds: int, directory: Path | None
) -> Mapping[str, Callable[[], object]]:
    """What is measured, in this order, by its name in the stored figures."""
    few = max(1, rounds - 1)
    # The shorter a run is, the more chance is in it.
    often = {"fast": rounds, "near": rounds, "far": few, "thin": few}
    return {
        "uploads": lambda: {
            name: measured_upload(
                LINKS[name](), 2 * gib, 1 if name == "slow" else rounds, directory
            )
            for name in LINKS
        },
        "whole": lambda: measured_push(few, directory, tiny=gib < _SMALL),
        "workers": lambda: {
            name: measured_workers(
                name, 4 * gib, often.get(name, 1), directory, likely=True
            )
            for name in WORKERS
        },
        "share": lambda: measured_share(gib / 2, 1, directory),
        "remote": lambda: measured_remote(gib / 2, few, directory),
        "scan": lambda: measured_scan(max(1, int(256 * gib)), few, directory),
        "answers": lambda: counted(0.2),
    }


def main() -> None:
    """Print all tables and keep them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    parser.add_argument("--store", type=Path, help="where to keep the figures")
    parser.add_argument(
        "--only", nargs="*", metavar="NAME", help="sections; the others stay stored"
    )
    args = parser.parse_args()
    if not v2_is_there():
        said(f"SDK v2 is left out: there is no {V2_PYTHON}, `make bench` creates it")
    began = time.monotonic()
    known = sections(args.gib, args.rounds, args.directory)
    found: dict[str, object] = {"machine": _machine()}
    if args.store and args.only and args.store.exists():
        found = {**json.loads(args.store.read_text("utf-8")), **found}
    for name in args.only or known:
        found[name] = known[name]()
    said(f"all of it took {time.monotonic() - began:.0f} s")
    if args.store:
        args.store.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        said(f"kept in {args.store}; `make readme` writes the tables of the READMEs")


if __name__ == "__main__":
    main()
