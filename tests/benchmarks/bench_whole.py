"""A whole `preflight push` of full weights, from the start of the process to its exit.

    python -m tests.benchmarks.bench_whole [--rounds 2] [--tiny]

Settings, walk, all rules, the value scan, the upload over TLS and its verification; the
import alone is left out. The weights are real bytes of a 4B base, 8 GB, in the page
cache as far as it holds them. Beside it: a loop of `ssl.sendall` over the same files,
with the connections that preflight begins with.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from fixtures.full import build_full
from fixtures.tiny import TINY_TEXT, write_tiny_bases
from preflight.sandbox import Sandbox
from tests.benchmarks.figures import said
from tests.benchmarks.measure import Usage, measured_whole
from tests.benchmarks.receiver import Receiver, receiving, terminator
from tests.benchmarks.uploaders import FEW, PLAIN
from tests.running import environment

BASE = "qwen3-4b-instruct-2507"
PUSH = "preflight push"


@dataclass(frozen=True, slots=True)
class _Row:
    command: Sequence[str]
    usages: list[Usage] = field(default_factory=list)
    received: list[float] = field(default_factory=list)


def _push(root: Path, base: str) -> Sequence[str]:
    url = "oss://bench-bucket/{date}/ROUND/"
    words = ["push", str(root), url, "--base-model", base, "--no-import", "--quiet"]
    return [sys.executable, "-m", "preflight", *words]


def _plain(root: Path, endpoint: str) -> Sequence[str]:
    module = "tests.benchmarks.upload_plain"
    return [sys.executable, "-m", module, endpoint, "ROUND/", str(root), str(FEW)]


def _measure(
    rows: Sequence[_Row],
    receiver: Receiver,
    variables: Mapping[str, str],
    rounds: int,
) -> None:
    for number in range(rounds):
        for row in rows:
            words = [word.replace("ROUND", f"round{number}") for word in row.command]
            before = receiver.cpu()
            row.usages.append(measured_whole(words, variables))
            row.received.append(receiver.cpu() - before)


def measured_push(
    rounds: int, directory: Path | None, *, tiny: bool = False
) -> dict[str, Any]:
    """Measure it, print a line for each and return them for JSON."""
    with (
        tempfile.TemporaryDirectory(dir=directory) as folder,
        Sandbox() as box,
        receiving(0, 0, tls=True) as receiver,
    ):
        scratch = Path(folder)
        base = TINY_TEXT if tiny else BASE
        bases = {"PREFLIGHT_BASES": str(write_tiny_bases(scratch))} if tiny else {}
        with patch.dict(os.environ, bases):
            root = build_full(scratch / "model", base=base, sparse=False)
        size = sum(path.stat().st_size for path in root.iterdir())
        oss = {**receiver.environment, "OSS_ENDPOINT": receiver.endpoint}
        variables = environment(scratch / "home", {**box.environment(), **bases, **oss})
        rows = {
            PUSH: _Row(_push(root, base)),
            f"{PLAIN}, {FEW} connections": _Row(_plain(root, receiver.endpoint)),
        }
        by = f"https ({terminator()} speaks TLS)"
        said(f"a whole push over {by}, {size / 1e9:.2f} GB, {rounds} rounds")
        _measure(list(rows.values()), receiver, variables, rounds)
    found = list(_figures(rows, size / 1e9))
    for one in found:
        said(
            "{title:45s}{times_plain:6.2f} x plain{cpu:7.2f} CPU s/GB"
            "{receiver_cpu:7.2f} receiver{seconds:8.2f} s".format(**one)
        )
    return {"bytes": size, "rounds": rounds, "rows": found}


def _figures(rows: Mapping[str, _Row], gigabytes: float) -> Sequence[dict[str, Any]]:
    plain = list(rows.values())[-1]
    return [
        {
            "title": title,
            "times_plain": round(
                median(
                    theirs.seconds / ours.seconds
                    for ours, theirs in zip(row.usages, plain.usages, strict=True)
                ),
                3,
            ),
            "cpu": round(median(one.cpu for one in row.usages) / gigabytes, 3),
            "receiver_cpu": round(median(row.received) / gigabytes, 3),
            "seconds": round(median(one.seconds for one in row.usages), 3),
        }
        for title, row in rows.items()
    ]


def main() -> None:
    """Print a line for the push and one for the loop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tiny", action="store_true", help="a few kB, to try it")
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    measured_push(args.rounds, args.directory, tiny=args.tiny)


if __name__ == "__main__":
    main()
