"""Does the number of workers that is found come near the best fixed one?

    python -m tests.benchmarks.bench_workers [--gib 4] [--rounds 1] [--shape NAME ...]

On each shape of link, `preflight` without a flag and with `--workers N` for several N
send the same directory in turns, each to a sink of its own. The figure to look at is
the last column: how fast each is, times the best fixed one of its round, in the median.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.bench_upload import GIB, say
from tests.benchmarks.measure import measured, running_sink
from tests.benchmarks.model_dir import make_model, warm

FOUND = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """A link as the sink makes it, and the numbers of workers that are tried on it.

    `share` of the directory's size is sent: a slow link would take very long.
    """

    title: str
    bandwidth: float
    latency: float
    fixed: Sequence[int] = (4, 8, 16, 32, 64)
    more: Sequence[str] = ()
    share: float = 1.0


SHAPES = {
    "fast": Shape("as fast as the machine", 0, 0, (2, 4, 8, 16)),
    "near": Shape("60 MB/s a connection, 30 ms", 60e6, 0.03),
    "far": Shape("20 MB/s a connection, 150 ms", 20e6, 0.15),
    "thin": Shape("5 MB/s a connection, 200 ms", 5e6, 0.2, share=0.5),
    "limited": Shape(
        "30 MB/s a connection, 5 ms, 503 above 100 MB/s in all",
        30e6,
        0.005,
        (1, 2, 3, 4, 6, 8),
        ("--total", "100e6"),
        share=0.5,
    ),
    "changing": Shape(
        "60 MB/s and 30 ms, then 5 MB/s and 200 ms",
        60e6,
        0.03,
        more=("--then", "1.5e9", "5e6", "0.2"),
    ),
}


def rates(shape: Shape, root: Path, size: int) -> dict[int, float]:
    """Bytes a second by number of workers, the found one under `FOUND`."""
    found = {}
    for workers in (FOUND, *shape.fixed):
        link = (shape.bandwidth, shape.latency, shape.more)
        with running_sink(sys.executable, *link) as endpoint:
            module = "tests.benchmarks.upload_preflight"
            words = [sys.executable, "-m", module, endpoint, "bench/", str(root)]
            usage = measured([*words, "--workers", str(workers)])
        found[workers] = size / usage.seconds
    return found


def table(rounds: Sequence[dict[int, float]]) -> list[str]:
    """The lines to print."""
    lines = []
    for workers in rounds[0]:
        rate = median(one[workers] for one in rounds)
        times = median(
            one[workers] / max(r for n, r in one.items() if n != FOUND)
            for one in rounds
        )
        title = f"{workers} workers" if workers else "found"
        lines.append(f"  {title:14s}{rate / 1e6:9.0f} MB/s{times:8.2f} x best fixed")
    return lines


def main() -> None:
    """Print one table for each shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=4.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--shape", nargs="*", choices=list(SHAPES), default=None)
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    for name in args.shape or SHAPES:
        shape = SHAPES[name]
        with tempfile.TemporaryDirectory(dir=args.directory) as folder:
            root = Path(folder)
            files = make_model(root, int(args.gib * GIB * shape.share))
            warm(root)
            size = sum(made.size for made in files.values())
            say(f"{shape.title}, {size / 1e9:.2f} GB, {args.rounds} rounds")
            found = [rates(shape, root, size) for _ in range(args.rounds)]
            for line in table(found):
                say(line)


if __name__ == "__main__":
    main()
